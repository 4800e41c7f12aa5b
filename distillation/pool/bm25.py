"""BM25 over product texts, on a real cluster, in an index of its own that is deleted after."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from opensearchpy import OpenSearch, helpers

from rerank_core.cluster.connection import connect
from rerank_core.cluster.failures import cluster_errors
from rerank_core.cluster.settings import ClusterSettings

_SEARCHES = 100
"""Queries an _msearch."""
_TIMEOUT_S = 120


@dataclass(frozen=True)
class Bm25:
    """An index of product texts; a product is known by its place in them."""

    client: OpenSearch
    index: str

    def search(
        self, queries: Sequence[str], depth: int, done: Callable[[int], None] = lambda _n: None
    ) -> Iterator[list[int]]:
        """For each query the places of its best `depth` products, best first.

        Raises `ClusterError`. `done` hears how many more queries are answered.
        """
        for start in range(0, len(queries), _SEARCHES):
            part = queries[start : start + _SEARCHES]
            body: list[object] = []
            for query in part:
                match = {"match": {"text": {"query": query}}}
                # By place among equals, so that a pool is the same each time.
                order = [{"_score": "desc"}, {"place": "asc"}]
                body += [{}, {"size": depth, "_source": False, "query": match, "sort": order}]
            with cluster_errors("searching the pool's index"):
                answer = self.client.msearch(
                    body=body, index=self.index, params={"request_timeout": _TIMEOUT_S}
                )
            for one in answer["responses"]:
                yield [int(hit["_id"]) for hit in one["hits"]["hits"]]
            done(len(part))


@contextmanager
def bm25_index(cluster: ClusterSettings, texts: Sequence[str]) -> Iterator[Bm25]:
    """A fresh index of `texts`, deleted at the end. Raises `ClusterError`."""
    client = connect(cluster)
    name = f"distillation-pool-{secrets.token_hex(6)}"
    mappings = {
        "dynamic": "strict",
        "properties": {
            "text": {"type": "text", "analyzer": "english", "norms": True},
            "place": {"type": "integer"},
        },
    }
    # One shard: term statistics are those of the whole catalogue.
    settings = {"number_of_shards": 1, "number_of_replicas": 0, "refresh_interval": "-1"}
    try:
        with cluster_errors("building the pool's index"):
            client.indices.create(index=name, body={"mappings": mappings, "settings": settings})
        try:
            with cluster_errors("building the pool's index"):
                actions = (
                    {"_index": name, "_id": str(place), "text": text, "place": place}
                    for place, text in enumerate(texts)
                )
                helpers.bulk(client, actions, chunk_size=2_000, request_timeout=_TIMEOUT_S)
                client.indices.refresh(index=name, params={"request_timeout": _TIMEOUT_S})
            yield Bm25(client, name)
        finally:
            with cluster_errors("deleting the pool's index"):
                client.indices.delete(index=name)
    finally:
        client.close()
