"""Resolving aliases on a real cluster, by both clients."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, datetime

import pytest
from opensearchpy import OpenSearch

from rerank_core.cluster.connection import connect, connect_async
from rerank_core.cluster.release import (
    Release,
    index_behind,
    resolve_alias,
    resolve_alias_async,
    write_release,
)
from rerank_core.cluster.settings import ClusterSettings
from rerank_core.errors import ClusterRefused, ClusterUnavailable, ConfigError, ReleaseError

RELEASE = Release(
    encoder_name="minilm",
    encoder_hash="e" * 64,
    encoder_recipe_hash="f" * 64,
    recipe_hash="c" * 64,
    mapping_hash="d" * 64,
    templates={"lexical": "lexical@0123456789ab"},
    built_at=datetime(2026, 11, 23, 9, 48, tzinfo=UTC),
    documents=3,
    rejected=1,
    builder_version="0.1.0",
)
Resolve = Callable[[ClusterSettings, str], tuple[str, Release]]


def resolve_blocking(settings: ClusterSettings, alias: str) -> tuple[str, Release]:
    with connect(settings) as client:
        return resolve_alias(client, alias)


def resolve_in_a_loop(settings: ClusterSettings, alias: str) -> tuple[str, Release]:
    async def run() -> tuple[str, Release]:
        async with connect_async(settings) as client:
            index, release, *_ = await resolve_alias_async(client, alias, 10)
            return index, release

    return asyncio.run(run())


@pytest.fixture(params=[resolve_blocking, resolve_in_a_loop])
def resolve(request: pytest.FixtureRequest) -> Resolve:
    return request.param


@pytest.fixture
def client(cluster: ClusterSettings) -> Iterator[OpenSearch]:
    with connect(cluster) as client:
        yield client


@pytest.fixture
def alias() -> str:
    """A name that no alias has; it goes when its index goes."""
    return f"alias-{uuid.uuid4().hex}"


@pytest.fixture
def index(client: OpenSearch, index_name: str) -> str:
    client.indices.create(index=index_name, body={"mappings": {"dynamic": "strict"}})
    return index_name


@pytest.fixture
def second_index(client: OpenSearch, index_name: str) -> Iterator[str]:
    name = f"{index_name}-2"
    client.indices.create(index=name)
    yield name
    client.indices.delete(index=name)


def test_an_alias_leads_to_its_index_and_release(
    cluster: ClusterSettings, client: OpenSearch, resolve: Resolve, index: str, alias: str
) -> None:
    """What was written comes back equal."""
    write_release(client, index, RELEASE)
    client.indices.put_alias(index=index, name=alias)

    assert resolve(cluster, alias) == (index, RELEASE)


def test_writing_a_release_leaves_the_mapping_as_it_was(client: OpenSearch, index: str) -> None:
    """Only the record is added."""
    write_release(client, index, RELEASE)

    assert client.indices.get_mapping(index=index)[index]["mappings"]["dynamic"] == "strict"


def test_no_alias_is_an_error_with_the_command_that_makes_one(
    cluster: ClusterSettings, resolve: Resolve, alias: str
) -> None:
    """A fresh cluster tells how to go on."""
    with pytest.raises(ReleaseError, match=f"index_builder rebuild CATALOGUE --alias {alias}"):
        resolve(cluster, alias)


def test_an_alias_of_two_indexes_is_an_error_that_names_both(
    cluster: ClusterSettings,
    client: OpenSearch,
    resolve: Resolve,
    index: str,
    second_index: str,
    alias: str,
) -> None:
    """Searching both would mix two releases."""
    client.indices.put_alias(index=f"{index},{second_index}", name=alias)

    with pytest.raises(ReleaseError, match=f"stands for {index}, {second_index}, it must"):
        resolve(cluster, alias)


def test_an_index_is_no_alias(cluster: ClusterSettings, resolve: Resolve, index: str) -> None:
    """It could not be swapped."""
    with pytest.raises(ReleaseError, match="is an index, not an alias; choose another alias"):
        resolve(cluster, index)


def test_an_index_without_a_release_is_an_error(
    cluster: ClusterSettings, client: OpenSearch, resolve: Resolve, index: str, alias: str
) -> None:
    """It may be half written."""
    client.indices.put_alias(index=index, name=alias)

    with pytest.raises(ReleaseError, match=rf"index {index}: its mapping has no _meta\.release"):
        resolve(cluster, alias)


def test_a_wildcard_never_reaches_the_cluster(cluster: ClusterSettings, resolve: Resolve) -> None:
    """It would lead to whatever is there."""
    with pytest.raises(ConfigError, match="lower-case letters"):
        resolve(cluster, "*")


def test_a_cluster_that_is_not_there_is_no_missing_alias(resolve: Resolve) -> None:
    """Trouble with the cluster is said as such."""
    with pytest.raises(ClusterUnavailable):
        resolve(ClusterSettings("http://127.0.0.1:9"), "products")


def test_a_free_name_has_no_index_behind_it(client: OpenSearch, alias: str) -> None:
    """Which is how a first build begins."""
    assert index_behind(client, alias) is None


def test_a_refusal_other_than_missing_is_passed_on(
    cluster: ClusterSettings, client: OpenSearch, resolve: Resolve, index: str, alias: str
) -> None:
    """An index whose metadata is blocked is not taken for a missing one."""
    client.indices.put_alias(index=index, name=alias)
    client.indices.put_settings(index=index, body={"index.blocks.metadata": True})
    try:
        with pytest.raises(ClusterRefused) as caught:
            resolve(cluster, alias)
    finally:
        client.indices.put_settings(index=index, body={"index.blocks.metadata": False})
    assert caught.value.status == 403
