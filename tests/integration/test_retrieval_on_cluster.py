"""A leg that a real cluster answers in part."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from opensearchpy import OpenSearch

from rerank_core.cluster.connection import connect, connect_async
from rerank_core.cluster.retrieval import LegCall, retrieve
from rerank_core.cluster.settings import ClusterSettings
from rerank_core.cluster.templates import Template, push
from rerank_core.errors import ClusterUnavailable

# Fails where a product has no stock, so on the shard of such a product alone.
SCRIPT = {
    "script_score": {"query": {"match_all": {}}, "script": {"source": "10 / doc.stock.value"}}
}
TEMPLATE = Template("dividing", json.dumps({"query": SCRIPT}))


@pytest.fixture
def client(cluster: ClusterSettings) -> Iterator[OpenSearch]:
    with connect(cluster) as client:
        yield client


async def test_hits_of_the_shards_that_answer_are_kept(
    cluster: ClusterSettings, client: OpenSearch, index_name: str
) -> None:
    """One of two shards fails: what the other found comes back, and that it is not all."""
    properties = {"stock": {"type": "long"}}
    client.indices.create(
        index=index_name,
        body={
            "settings": {"number_of_shards": 2, "number_of_replicas": 0},
            "mappings": {"properties": properties},
        },
    )
    shards = {
        client.search_shards(index=index_name, routing=key)["shards"][0][0]["shard"]: key
        for key in "abcdef"
    }
    for stock, routing in zip((5, 0), shards.values(), strict=True):
        client.index(index=index_name, id=str(stock), routing=routing, body={"stock": stock})
    client.indices.refresh(index=index_name)
    ids = push(client, [TEMPLATE])
    try:
        async with connect_async(cluster) as asking:
            call = LegCall(ids["dividing"], {})
            retrieved = await retrieve(
                asking, index_name, {"lexical": call}, timeout_s=60, alias="shop"
            )
    finally:
        client.delete_script(id=ids["dividing"])

    found = retrieved.answers["lexical"]
    assert [hit.id for hit in found.hits] == ["5"]
    assert not found.total_is_exact
    error = retrieved.failures["lexical"]
    assert isinstance(error, ClusterUnavailable)
    assert ": 1 of 2 shards failed: " in str(error)
