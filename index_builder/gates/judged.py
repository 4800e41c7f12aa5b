"""The fresh index ranks a judged set no worse than the live one."""

from __future__ import annotations

import importlib
import json
from collections.abc import Mapping
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
import numpy.typing as npt
from opensearchpy import OpenSearch

from rerank_core.cluster.failures import cluster_errors, refusal
from rerank_core.cluster.fusion import reciprocal_rank_fusion
from rerank_core.cluster.profile import Leg
from rerank_core.cluster.release import GateRecord
from rerank_core.cluster.templates import Template, render
from rerank_core.errors import ConfigError

_WEIGHTS: dict[Leg, float] = {"lexical": 1.0, "vector": 1.0}
Vectors = npt.NDArray[np.float32]


def measures() -> Any:
    """The measuring library. Raises `ConfigError` where it is not installed."""
    try:
        return importlib.import_module("rerank_core.measures")
    except ImportError as error:
        raise ConfigError(
            "--judged needs ir-measures: pip install 'rerank-sidecar[measures]'"
        ) from error


def read_judged(folder: Path, split: str) -> tuple[dict[str, str], dict[str, dict[str, float]]]:
    """Queries that are judged, and their judgments. Raises `ConfigError`, `InputError`."""
    beir = measures().BeirFolder(folder)
    judgments = beir.judgments(split)
    queries = {key: text for key, text in beir.queries().items() if key in judgments}
    if not queries:
        raise ConfigError(f"{folder}: none of its queries is judged in split {split}")
    return queries, judgments


def judged_gate(
    judgments: Mapping[str, Mapping[str, float]],
    fresh: Mapping[str, Mapping[str, float]],
    live: Mapping[str, Mapping[str, float]],
    most_loss: float,
) -> GateRecord:
    """Mean nDCG@10 of the fused first stage, linear gain, not below the live index's."""
    library = measures()
    scores = [score for judged in judgments.values() for score in judged.values()]
    scale = library.Scale(min(0.0, *scores), max(scores))
    now, before = (fmean(library.ndcg(judgments, run, scale).values()) for run in (fresh, live))
    return GateRecord(
        "judged",
        "passed" if now >= before - most_loss else "failed",
        now,
        before - most_loss,
        f"nDCG@10 {now:.4f} over {len(judgments)} judged queries, the live index has {before:.4f}",
    )


def first_stage(
    client: OpenSearch,
    index: str,
    templates: Mapping[str, Template],
    queries: Mapping[str, str],
    vectors: Vectors,
    depth: int,
) -> dict[str, dict[str, float]]:
    """By query the fused scores of what both legs find. Raises `ClusterError`."""
    run: dict[str, dict[str, float]] = {}
    doing = f"searching {index} for judged queries"
    for (query_id, text), vector in zip(queries.items(), vectors, strict=True):
        common: dict[str, Any] = {"size": depth}
        calls: dict[Leg, dict[str, Any]] = {
            "lexical": {**common, "query": text},
            "vector": {**common, "vector": vector.tolist(), "k": depth},
        }
        lines: list[Any] = []
        for leg, parameters in calls.items():
            template = templates[leg]
            lines += [{"index": index}, render(template, template.complete(parameters))]
        with cluster_errors(doing):
            body = "".join(json.dumps(line) + "\n" for line in lines)
            answers = client.msearch(body=body)["responses"]
        legs: dict[Leg, list[tuple[str, float]]] = {}
        for leg, answer in zip(calls, answers, strict=True):
            if "error" in answer:
                raise refusal(int(answer.get("status", 500)), answer, doing)
            legs[leg] = [(hit["_id"], hit["_score"]) for hit in answer["hits"]["hits"]]
        fused = reciprocal_rank_fusion(legs, _WEIGHTS)
        run[query_id] = {product.id: product.score for product in fused}
    return run
