"""All gates, in their order."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from opensearchpy import OpenSearch

from index_builder.gates.bounds import RECALL_QUERIES, GateBounds
from index_builder.gates.count import ratio_gate
from index_builder.gates.health import health_gate
from index_builder.gates.judged import first_stage, judged_gate, read_judged
from index_builder.gates.queries import filled_up, real_queries
from index_builder.gates.recall import recall_gate
from index_builder.gates.templates import LEGS, template_gate
from index_builder.gates.vectors import sample, vector_gate
from index_builder.schema import Schema
from rerank_core.cluster.dialect import Dialect
from rerank_core.cluster.failures import cluster_errors
from rerank_core.cluster.release import GateRecord, Release
from rerank_core.cluster.templates import Template
from rerank_core.engine import BiEncoder, Engine


@dataclass(frozen=True)
class Subject:
    """The fresh index, what it should be, and what stands before it."""

    index: str
    schema: Schema
    encoder: BiEncoder
    templates: tuple[Template, ...]
    stored: bool
    """The cluster renders them itself."""
    own_templates: bool
    """They are the shop's, so all must work; else the legs must, and others may be left out."""
    replicas: int
    live: str | None
    """The index that the alias stands for."""
    live_release: Release | None
    queries: Path | None
    """Where real queries are, if nobody names others."""


def verify(
    client: OpenSearch, dialect: Dialect, subject: Subject, bounds: GateBounds
) -> tuple[list[GateRecord], tuple[Template, ...]]:
    """What each gate found, and the templates that work. Raises `ConfigError`, `ClusterError`."""
    index, encoder = subject.index, subject.encoder
    fields = [*subject.schema.fields, "rerank_text", "vector"]
    drawn = sample(client, dialect, index, fields, max(RECALL_QUERIES, bounds.vector_sample))
    queries = real_queries(path) if (path := bounds.queries or subject.queries) else []
    texts, of = filled_up(queries, drawn, RECALL_QUERIES)
    records = [
        ratio_gate(_count(client, index), _live_count(client, subject), bounds.min_ratio_to_live)
    ]
    with Engine() as engine:
        recipe = encoder.artifact.manifest.recipe
        chosen = drawn[: bounds.vector_sample]
        kind = subject.schema.vector.type
        records.append(vector_gate(chosen, engine, encoder, recipe, kind))
        if texts:
            records.append(
                recall_gate(client, dialect, index, engine.encode(encoder, texts), bounds, of)
            )
        required = {template.name for template in subject.templates}
        record, problems = template_gate(
            client,
            index,
            subject.templates,
            drawn,
            stored=subject.stored,
            required=required if subject.own_templates else LEGS,
        )
        records.append(record)
        if bounds.judged is not None:
            records.append(_judged(client, subject, bounds, engine))
    records.append(health_gate(client, index, subject.replicas, bounds.health_wait_s))
    return records, tuple(one for one in subject.templates if one.name not in problems)


def _judged(client: OpenSearch, subject: Subject, bounds: GateBounds, engine: Engine) -> GateRecord:
    live = subject.live_release
    if bounds.judged is None or subject.live is None or live is None:
        return _not_run("judged", "there is no live index to compare with")
    if live.encoder_hash != subject.encoder.hash:
        return _not_run(
            "judged",
            f"the live index has vectors of {live.encoder_name}, another model, which these "
            "queries' vectors cannot search",
        )
    before_templates = {name: kept for name in live.templates if (kept := live.template(name))}
    if not before_templates.keys() >= LEGS:
        return _not_run(
            "judged", "the live index, of an older version, does not keep its templates"
        )
    queries, judgments = read_judged(bounds.judged, bounds.judged_split)
    vectors = engine.encode(subject.encoder, list(queries.values()))
    fresh, before = (
        first_stage(client, index, templates, queries, vectors, bounds.depth)
        for index, templates in (
            (subject.index, {template.name: template for template in subject.templates}),
            (subject.live, before_templates),
        )
    )
    return judged_gate(judgments, fresh, before, bounds.max_ndcg_loss)


def _not_run(name: str, why: str) -> GateRecord:
    return GateRecord(name, "not run", None, None, why)


def _live_count(client: OpenSearch, subject: Subject) -> int | None:
    return None if subject.live is None else _count(client, subject.live)


def _count(client: OpenSearch, index: str) -> int:
    with cluster_errors(f"counting {index}"):
        return int(client.count(index=index)["count"])
