"""How nearly vectors of ours find the products that those of the script find."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from opensearchpy import OpenSearch

from index_builder.inputs import scan
from rerank_core.cluster.dialect import Dialect

_TOP = 10
_NEAR = 1e-3

Vectors = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Agreement:
    """Vectors of the index builder's index by those of the script's, which are fp32."""

    mean_cosine: float
    least_cosine: float
    recall_at_10: float
    """Of exact neighbours over the script's, for real queries encoded by each."""
    near_recall_at_10: float
    """The same where a product counts whose fp32 cosine is at most .001 below the tenth's."""
    cosine_lost: float
    """Mean fp32 cosine of the script's ten less that of ours."""
    queries: int


def agreement(
    client: OpenSearch, dialect: Dialect, indexes: dict[str, str], folder: Path
) -> Agreement:
    """Of the two indexes' vectors, and of those of the queries, by contender in `folder`."""
    vectors: dict[str, npt.NDArray[np.float32]] = {}
    for name in ("ours", "parallel_bulk"):
        hits = scan(client, dialect, indexes[name], dialect.source(["vector"]))
        by_key = {hit["_id"]: np.asarray(hit["_source"]["vector"], np.float32) for hit in hits}
        vectors[name] = np.stack([by_key[key] for key in sorted(by_key)])
    queries = {name: np.load(folder / f"{name}.npy") for name in vectors}
    return agree(
        vectors["ours"], vectors["parallel_bulk"], queries["ours"], queries["parallel_bulk"]
    )


def agree(
    products: Vectors, reference: Vectors, queries: Vectors, reference_queries: Vectors
) -> Agreement:
    """Of unit vectors, rows, with those of the reference."""
    cosines = np.einsum("ij,ij->i", products, reference)
    exact = reference_queries @ reference.T
    own = queries @ products.T
    top = min(_TOP, len(products))
    same, near, lost = [], [], []
    for ours, theirs in zip(own, exact, strict=True):
        found, best = np.argsort(-ours)[:top], np.argsort(-theirs)[:top]
        same.append(len(set(found) & set(best)) / top)
        near.append(float(np.mean(theirs[found] >= theirs[best[-1]] - _NEAR)))
        lost.append(float(theirs[best].mean() - theirs[found].mean()))
    return Agreement(
        mean_cosine=float(cosines.mean()),
        least_cosine=float(cosines.min()),
        recall_at_10=float(np.mean(same)),
        near_recall_at_10=float(np.mean(near)),
        cosine_lost=float(np.mean(lost)),
        queries=len(same),
    )
