"""What both legs find on a real cluster, in an index made for the while or one that is there."""

from __future__ import annotations

import json
import tempfile
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from opensearchpy import OpenSearch
from rich.console import Console

from benchmarks.quality.plan import LEGS, Plan
from index_builder.gates import GateBounds
from index_builder.plan import Plan as BuildPlan
from index_builder.progress import Progress
from index_builder.rebuild import build
from rerank_core.artifact import open_named
from rerank_core.cluster.connection import connect
from rerank_core.cluster.dialect import detect
from rerank_core.cluster.failures import cluster_errors, refusal
from rerank_core.cluster.features import find_features
from rerank_core.cluster.release import GateRecord, resolve_alias
from rerank_core.cluster.settings import ClusterSettings
from rerank_core.cluster.templates import Template, load_templates, render
from rerank_core.engine import Engine, load_bi_encoder
from rerank_core.errors import ClusterUnavailable, ConfigError
from rerank_core.measures import Run

_QUERIES_AT_ONCE = 20


@dataclass(frozen=True)
class FirstStage:
    """Both legs' runs, each hit with the text that a cross-encoder reads."""

    legs: Mapping[int, Mapping[str, Run]]
    """By the depth that they were asked for: an approximate search finds others where it looks for
    more."""
    texts: Mapping[str, str]
    """``rerank_text`` by product id, of all that was found."""
    cluster: str
    encoder_hash: str
    templates: Mapping[str, str]
    gates: tuple[GateRecord, ...]
    """What the index builder found: the recall of the approximate search among it."""


def find_candidates(
    plan: Plan,
    queries: Mapping[str, str],
    settings: ClusterSettings,
    engine: Engine,
    say: Callable[[str], None],
) -> FirstStage:
    """Asks both legs every query at every depth. Raises `ConfigError`, `ClusterError`."""
    encoder = load_bi_encoder(open_named(plan.encoder))
    with ExitStack() as stack:
        client = stack.enter_context(connect(settings))
        alias = plan.alias or stack.enter_context(_index(plan, client, settings))
        dialect, (index, release) = detect(client), resolve_alias(client, alias)
        if encoder.hash != release.encoder_hash:
            raise ConfigError(
                f"index {index}: its vectors are of {release.encoder_name}, not of {plan.encoder}; "
                "name that one by --encoder"
            )
        say(f"asking {len(queries)} queries")
        shipped = {one.name: one for one in load_templates(engine=find_features(client).engine)}
        templates = {leg: release.template(leg) or shipped[leg] for leg in LEGS}
        vectors = engine.encode(encoder, list(queries.values()))
        legs: dict[int, dict[str, Run]] = {depth: {} for depth in plan.depths}
        texts: dict[str, str] = {}
        for depth in plan.depths:
            parameters: dict[str, list[dict[str, Any]]] = {
                "lexical": [{"query": text} for text in queries.values()],
                "vector": [{"vector": vector.tolist(), "k": depth} for vector in vectors],
            }
            for leg in LEGS:
                bodies = [_body(templates[leg], depth, values) for values in parameters[leg]]
                answers = _ask(client, index, bodies, texts)
                legs[depth][leg] = dict(zip(queries, answers, strict=True))
    return FirstStage(
        legs=legs,
        texts=texts,
        cluster=f"{dialect.name} {dialect.version}",
        encoder_hash=release.encoder_hash,
        templates={leg: template.id for leg, template in templates.items()},
        gates=release.gates,
    )


@contextmanager
def _index(plan: Plan, client: OpenSearch, settings: ClusterSettings) -> Iterator[str]:
    """An alias whose index goes after the block."""
    alias = f"quality-{uuid.uuid4().hex}"
    progress = Progress(Console(stderr=True))
    try:
        with tempfile.TemporaryDirectory(prefix="rerank-quality-") as made:
            folder = Path(made)
            built = BuildPlan(
                catalogue=(str(plan.data),),
                alias=alias,
                schema=plan.schema,
                encoder=plan.encoder,
                reranker=plan.reranker,
                rejects=folder / "rejects.jsonl",
                checkpoint=folder / "checkpoint",
                replicas=0,
                # Recorded, and no reason not to measure.
                gates=GateBounds(min_recall=0.0, depth=plan.deepest),
            )
            report = build(built, client, settings, progress)
        if not report.swapped:
            failed = [gate.detail for gate in report.gates if gate.verdict == "failed"]
            raise ConfigError(f"{plan.data}: the index cannot be searched: {'; '.join(failed)}")
        yield alias
    finally:
        progress.close()
        with cluster_errors(f"deleting the index of {alias}"):
            for index in client.indices.get(index=f"{alias}-*"):
                client.indices.delete(index=index)


def _body(template: Template, size: int, values: Mapping[str, Any]) -> dict[str, Any]:
    parameters = {"size": size, "source_fields": ["rerank_text"], **values}
    return render(template, template.complete(parameters))


def _ask(
    client: OpenSearch, index: str, bodies: list[dict[str, Any]], texts: dict[str, str]
) -> list[dict[str, float]]:
    runs = []
    doing = f"searching {index}"
    for start in range(0, len(bodies), _QUERIES_AT_ONCE):
        lines: list[Any] = []
        for body in bodies[start : start + _QUERIES_AT_ONCE]:
            lines += [{"index": index}, body]
        with cluster_errors(doing):
            answer = client.msearch(body="".join(json.dumps(line) + "\n" for line in lines))
        for response in answer["responses"]:
            if "error" in response:
                raise refusal(int(response.get("status", 500)), response, doing)
            if response["timed_out"] or response["_shards"]["failed"]:
                # A figure of it would be of another search.
                raise ClusterUnavailable(f"{doing}: the answer is of some of the shards alone")
            hits = response["hits"]["hits"]
            texts.update((hit["_id"], hit["_source"]["rerank_text"]) for hit in hits)
            runs.append({hit["_id"]: float(hit["_score"]) for hit in hits})
    return runs
