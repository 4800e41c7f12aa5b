"""Vectors of the index are those that its encoder gives for its texts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from opensearchpy import OpenSearch

from rerank_core.cluster.dialect import Dialect
from rerank_core.cluster.failures import cluster_errors
from rerank_core.cluster.release import GateRecord
from rerank_core.cluster.vectors import VectorType
from rerank_core.engine import BiEncoder, Engine
from rerank_core.text import ProductTextRecipe

# What storing a number costs; a wrong encoder or a wrong row gives .9 at most, mostly far less.
_LEAST_COSINE: dict[VectorType, float] = {
    "float": 0.9999,
    "fp16": 0.999,
    "byte": 0.99,
    "on-disk": 0.99,
}
_NORM_SLACK = 1e-2
_SEED = 7


def sample(
    client: OpenSearch, dialect: Dialect, index: str, fields: Sequence[str], size: int
) -> list[dict[str, Any]]:
    """Documents drawn by chance, the same for the same index. Raises `ClusterError`."""
    order = {"random_score": {"seed": _SEED, "field": "_seq_no"}}
    body = {
        "size": size,
        "query": {"function_score": order},
        "_source": dialect.source(fields),
    }
    with cluster_errors(f"sampling {index}"):
        hits: list[dict[str, Any]] = client.search(index=index, body=body)["hits"]["hits"]
    return hits


def vector_gate(
    hits: Sequence[Mapping[str, Any]],
    engine: Engine,
    encoder: BiEncoder,
    recipe: ProductTextRecipe,
    kind: VectorType,
) -> GateRecord:
    """Sampled vectors are finite, unit, of the right length, and what fresh encoding gives."""
    least = _LEAST_COSINE[kind]

    def record(cosine: float | None, problem: str) -> GateRecord:
        return GateRecord(
            "vectors",
            "failed" if problem else "passed",
            cosine,
            least,
            problem or f"least cosine of {len(hits)} sampled vectors with a fresh encoding",
        )

    stored: list[npt.NDArray[np.float32]] = []
    for hit in hits:
        vector = np.asarray(hit["_source"].get("vector") or (), np.float32)
        if vector.shape != (encoder.dimensions,):
            return record(
                None,
                f"document {hit['_id']} has {vector.size} numbers, not {encoder.dimensions}",
            )
        norm = float(np.linalg.norm(vector))
        if not np.isfinite(vector).all() or abs(norm - 1) > _NORM_SLACK:
            return record(None, f"document {hit['_id']}: its vector has length {norm:.4f}, not 1")
        stored.append(vector / norm)
    if not stored:
        return record(None, "there is no document to sample")
    fresh = engine.encode(encoder, [recipe.compose(hit["_source"]) for hit in hits])
    cosines = np.einsum("ij,ij->i", np.stack(stored), fresh)
    worst = int(cosines.argmin())
    cosine = float(cosines[worst])
    problem = (
        f"document {hits[worst]['_id']}: cosine {cosine:.4f} with a fresh encoding by "
        f"{encoder.name}; its vector is of another text or another model"
    )
    return record(cosine, problem if cosine < least else "")
