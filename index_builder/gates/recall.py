"""The approximate search finds what exact scoring finds."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from opensearchpy import OpenSearch

from index_builder.gates.bounds import GateBounds
from index_builder.inputs import scan
from rerank_core.cluster.dialect import Dialect
from rerank_core.cluster.failures import cluster_errors, refusal
from rerank_core.cluster.release import GateRecord
from rerank_core.errors import ClusterRefused

Vectors = npt.NDArray[np.float32]
Hits = list[tuple[str, float]]

# One-sided 95 %, normal approximation of a mean over queries.
_Z = 1.645
_AT_ONCE = 20
# Scores nearer than this are one score: products with one text have one vector.
_TIE = 1e-5
_ALL: dict[str, Any] = {"match_all": {}}


def lower_bound(recalls: Sequence[float]) -> float:
    """Lower end of the one-sided 95 % interval of the mean over queries."""
    values = np.asarray(recalls)
    spread = values.std(ddof=1) / np.sqrt(len(values)) if len(values) > 1 else 0.0
    return max(0.0, float(values.mean() - _Z * spread))


def recall_gate(
    client: OpenSearch,
    dialect: Dialect,
    index: str,
    queries: Vectors,
    bounds: GateBounds,
    of: str,
) -> GateRecord:
    """Recall@k over `queries`, unit vectors ``(queries, dimensions)``, at the depth in use.

    A neighbour counts where its exact score is among the best k scores, so that ties do not
    matter. `of` says what the queries are. Raises `ClusterError`.
    """
    k, depth, least = bounds.recall_k, bounds.depth, bounds.min_recall
    found = list(
        _search(client, index, (_body(dialect.nearest(v, depth), k) for v in _rows(queries)))
    )
    try:
        best, own = _by_script(client, dialect, index, queries, found, k)
        how = "exact script"
    except ClusterRefused as error:
        if "script_lang not supported" not in str(error):
            raise
        best, own = _by_scan(client, dialect, index, queries, found, k)
        how = "exact scores computed here, this cluster has no scripts"
    recalls = []
    for top, scores in zip(best, own, strict=True):
        if top:
            within = sum(score >= top[-1] - _TIE for score in scores)
            recalls.append(min(within, len(top)) / len(top))
    if not recalls:
        return GateRecord("recall", "failed", None, least, f"no exact neighbours of {of}")
    bound = lower_bound(recalls)
    mean = float(np.mean(recalls))
    return GateRecord(
        "recall",
        "passed" if bound >= least else "failed",
        bound,
        least,
        f"recall@{k} at depth {depth} is {mean:.4f} over {len(recalls)} {of} ({how}); this is its "
        "lower 95 % bound" + ("" if bound >= least else "; raise vector.ef_construction or m"),
    )


def _by_script(
    client: OpenSearch, dialect: Dialect, index: str, queries: Vectors, found: list[Hits], k: int
) -> tuple[list[list[float]], list[list[float]]]:
    """By query the best exact scores, and the exact scores of what the search found."""
    exact = _search(client, index, (_body(dialect.exact(v, _ALL), k) for v in _rows(queries)))
    best = [[score for _, score in hits] for hits in exact]
    again = (
        _body(dialect.exact(vector, {"ids": {"values": [key for key, _ in hits]}}), k)
        for vector, hits in zip(_rows(queries), found, strict=True)
    )
    own = [[score for _, score in hits] for hits in _search(client, index, again)]
    return best, own


def _by_scan(
    client: OpenSearch, dialect: Dialect, index: str, queries: Vectors, found: list[Hits], k: int
) -> tuple[list[list[float]], list[list[float]]]:
    """The same from all vectors of the index, a page at a time."""
    wanted: dict[str, list[int]] = {}
    for query, hits in enumerate(found):
        for key, _ in hits:
            wanted.setdefault(key, []).append(query)
    best = np.full((len(queries), k), -np.inf, np.float32)
    own: list[list[float]] = [[] for _ in queries]
    for page in _pages(scan(client, dialect, index, dialect.source(["vector"]))):
        vectors = np.array([hit["_source"]["vector"] for hit in page], np.float32)
        scores = queries @ (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).T
        best = -np.sort(-np.hstack([best, scores]), axis=1)[:, :k]
        for place, hit in enumerate(page):
            for query in wanted.get(hit["_id"], ()):
                own[query].append(float(scores[query, place]))
    return [[float(score) for score in row if np.isfinite(score)] for row in best], own


def _pages(hits: Iterable[dict[str, Any]], size: int = 500) -> Iterator[list[dict[str, Any]]]:
    page: list[dict[str, Any]] = []
    for hit in hits:
        page.append(hit)
        if len(page) == size:
            yield page
            page = []
    if page:
        yield page


def _body(query: dict[str, Any], size: int) -> dict[str, Any]:
    return {"size": size, "query": query, "_source": False, "track_total_hits": False}


def _rows(vectors: Vectors) -> Iterator[list[float]]:
    return (vector.tolist() for vector in vectors)


def _search(client: OpenSearch, index: str, bodies: Iterable[dict[str, Any]]) -> Iterator[Hits]:
    """Hits as (id, score), some searches a request."""
    doing = f"measuring recall on {index}"
    for some in _pages(bodies, _AT_ONCE):
        lines = [line for body in some for line in ({"index": index}, body)]
        text = "".join(json.dumps(line) + "\n" for line in lines)
        with cluster_errors(doing):
            answers = client.msearch(body=text)["responses"]
        for answer in answers:
            if "error" in answer:
                raise refusal(int(answer.get("status", 500)), answer, doing)
            yield [(hit["_id"], hit["_score"]) for hit in answer["hits"]["hits"]]
