"""OpenSearch's own rerank processor over this sidecar, beside a frontend that asks over gRPC."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

from opensearchpy import OpenSearch

from benchmarks.points import Point, series_point
from benchmarks.rounds import Contender, interleaved, timed
from benchmarks.scenarios.ground import NO_CACHE, Ground
from benchmarks.scenarios.shop import indexed, some_queries
from index_builder.pipelines import StockRerank, push_pipeline
from local_cluster import LocalCluster
from local_cluster.distribution import OPENSEARCH_2
from rerank_client import Document, RerankClient
from rerank_core.cluster.connection import connect
from rerank_core.errors import ScoringError

ABOUT = (
    "One lexical query on OpenSearch 2.19.1 with its ml-commons and neural-search, on the same "
    "cores; one caller, no score cache. The same hits: as they come; reranked by the cluster's own "
    "rerank processor, which calls the sidecar over HTTP; and by the frontend, which reads the "
    "texts and calls the sidecar over gRPC. The three take turns, a query each."
)

_DEPTHS = (100, 30)
_TOP = 10
_TIMEOUT_S = 60.0
_PIPELINE = "benchmark-rerank"

_Ids = list[str]


def points(ground: Ground) -> Iterator[Point]:
    """Three points a depth."""
    queries = some_queries(ground)
    with (
        LocalCluster.start(distribution=OPENSEARCH_2, say=ground.tell) as node,
        indexed(ground, node.settings) as alias,
        connect(replace(node.settings, timeout_s=_TIMEOUT_S)) as cluster,
        ground.sidecar("--http.request-s", str(_TIMEOUT_S), *NO_CACHE, http=True) as sidecar,
        RerankClient(sidecar.target, timeout_s=_TIMEOUT_S) as client,
    ):
        stock = StockRerank(
            name=_PIPELINE, sidecar=f"http://{sidecar.http}", read_timeout_s=int(_TIMEOUT_S)
        )
        push_pipeline(cluster, stock, alias=alias, private=True)
        for depth in _DEPTHS:
            yield from _searched(ground, _Search(cluster, alias, depth), client, queries)


class _Search:
    """One lexical query over an index."""

    def __init__(self, cluster: OpenSearch, alias: str, depth: int) -> None:
        self._cluster, self._alias, self.depth = cluster, alias, depth

    def hits(self, query: str, *, fields: bool = False, stock: bool = False) -> list[Any]:
        """Best first."""
        body: dict[str, Any] = {
            "size": self.depth,
            "_source": ["rerank_text"] if fields else False,
            "query": {"match": {"title": query}},
        }
        params = {}
        if stock:
            # The processor reads the texts of the hits as they are answered.
            body["_source"] = ["rerank_text"]
            body["ext"] = {"rerank": {"query_context": {"query_text": query}}}
            params["search_pipeline"] = _PIPELINE
        found = self._cluster.search(index=self._alias, body=body, params=params)
        return list(found["hits"]["hits"])


def _searched(
    ground: Ground, search: _Search, client: RerankClient, queries: list[str]
) -> Iterator[Point]:
    tops: dict[str, list[_Ids]] = {"none": [], "stock": [], "frontend": []}

    def none(query: str) -> _Ids:
        return [hit["_id"] for hit in search.hits(query)]

    def stock(query: str) -> _Ids:
        return [hit["_id"] for hit in search.hits(query, stock=True)]

    def frontend(query: str) -> _Ids:
        hits = search.hits(query, fields=True)
        if not hits:
            return []
        asked = [Document(hit["_id"], text=hit["_source"]["rerank_text"]) for hit in hits]
        return [one.id for one in client.rerank(query, asked, strict=True).documents]

    def once(name: str, way: Callable[[str], _Ids]) -> Contender:
        return timed(lambda number: tops[name].append(way(queries[number])[:_TOP]))

    ways = {"none": none, "stock": stock, "frontend": frontend}
    for way in ways.values():
        way(queries[0])  # connections
    taken = interleaved(
        {name: once(name, way) for name, way in ways.items()},
        len(queries),
        tell=lambda done: ground.tell(f"depth {search.depth}, query {done} of {len(queries)}"),
    )
    same = [a == b for a, b in zip(tops["stock"], tops["frontend"], strict=True)]
    if not any(same):
        raise ScoringError("the stock rerank never agreed with the sidecar; was it called?")
    for name, series in taken.items():
        figures = {} if name == "none" else {"same_top10_share": sum(same) / len(same)}
        yield series_point(
            {"rerank": name, "depth": float(search.depth)}, {"service_ms": series}, figures
        )
