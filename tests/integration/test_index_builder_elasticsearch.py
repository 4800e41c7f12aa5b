"""The same builds on a real Elasticsearch."""

from __future__ import annotations

import io
import uuid
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from opensearchpy import OpenSearch
from rich.console import Console

from index_builder.doctor import examine
from index_builder.plan import Plan
from index_builder.progress import Progress
from index_builder.schema import BEIR
from index_builder.update import update
from index_builder.versions import list_versions, rollback
from rerank_core.cluster.connection import connect
from rerank_core.cluster.dialect import detect
from rerank_core.cluster.release import resolve_alias
from rerank_core.cluster.settings import ClusterSettings
from rerank_core.cluster.vectors import VectorField
from rerank_core.errors import ConfigError, ReleaseError
from tests.index_builds import QUICK, Shop, indexes, lenient, products, write_jsonl
from tests.integration.conftest import SmallModels


@pytest.fixture
def client(elasticsearch: ClusterSettings) -> Iterator[OpenSearch]:
    with connect(elasticsearch) as client:
        yield client


@pytest.fixture
def shop(
    client: OpenSearch, elasticsearch: ClusterSettings, small_models: SmallModels, tmp_path: Path
) -> Iterator[Shop]:
    """700 products on Elasticsearch."""
    file = write_jsonl(tmp_path / "shop.jsonl", products(700, texts=700))
    plan = Plan(
        catalogue=(str(file),),
        alias=f"test-{uuid.uuid4().hex}",
        encoder=str(small_models.bi_encoder),
        reranker=str(small_models.cross_encoder),
        rejects=tmp_path / "rejects.jsonl",
        checkpoint=tmp_path / "checkpoint",
        replicas=0,
        gates=lenient(min_recall=0.95),
        limits=QUICK,
    )
    yield Shop(client, elasticsearch, plan, file)
    for index in indexes(client, plan.alias):
        client.indices.delete(index=index)


def test_a_catalogue_goes_through_its_life(client: OpenSearch, shop: Shop) -> None:
    """Built, checked, swapped, updated, listed, examined and rolled back, as on OpenSearch."""
    first = shop.build()

    gates = {gate.name: gate for gate in first.gates}
    assert first.swapped, shop.said.getvalue()
    assert gates["count"].figure == 700
    assert gates["vectors"].figure == pytest.approx(1, abs=1e-4)
    assert gates["recall"].verdict == "passed"
    assert gates["templates"].verdict == "passed", gates["templates"].detail
    _, release = resolve_alias(client, shop.plan.alias)
    assert release.engine == "elasticsearch 9.2.0"
    assert release.templates.keys() >= {"lexical", "vector", "more-like-this", "zero-results"}
    assert '"query_vector"' in release.sources[release.templates["vector"]].source
    second = shop.build()
    assert second.replaced == first.index
    quiet = Progress(Console(file=io.StringIO()))
    rows = [*products(700, texts=700)][1:]
    rows[0] = {**rows[0], "price_cents": 77}
    write_jsonl(shop.file, rows)
    report = update(shop.plan, client, shop.settings, quiet)
    assert (report.unchanged, report.rewritten, report.encoded, report.deleted) == (698, 1, 0, 1)
    assert [version.live for version in list_versions(client, shop.plan.alias)] == [True, False]
    rollback(client, shop.plan.alias, None, quiet)
    assert shop.live == first.index
    found = examine(client, shop.plan.alias, BEIR)
    assert "rendered by who asks: no module lang-mustache" in [item.detail for item in found]
    rebuilt = shop.build(catalogue=(f"index:{second.index}",))
    assert shop.contents(rebuilt.index).keys() == {row["_id"] for row in rows}


def test_a_gate_finds_its_fault_here_too(client: OpenSearch, shop: Shop) -> None:
    """Documents that are gone after they were acknowledged."""

    def drop() -> None:
        [index] = indexes(client, shop.plan.alias)
        client.delete(index=index, id="p1")

    report = shop.build(on_loaded=drop)

    assert [gate.name for gate in report.gates if gate.verdict == "failed"] == ["count"]
    assert not client.indices.exists_alias(name=shop.plan.alias)


def test_two_builds_at_once_are_refused(client: OpenSearch, shop: Shop, tmp_path: Path) -> None:
    """By the same lock."""

    def build_too() -> None:
        with pytest.raises(ReleaseError, match="is being rebuilt by"):
            shop.build(checkpoint=tmp_path / "other")

    assert shop.build(on_loaded=build_too).swapped


@pytest.mark.parametrize("kind", ["byte", "float"])
def test_vector_types_of_the_engine(client: OpenSearch, shop: Shop, kind: str) -> None:
    """Quantised by the engine itself; queries stay floats.

    Vectors of a random model lie close together, so bytes lose many of their neighbours: of six
    builds the lower bounds were .45 to .5 and a little more. By chance it would be .014.
    """
    schema = replace(BEIR, vector=VectorField(type=kind, space="innerproduct", m=8))

    report = shop.build(schema=schema, gates=lenient(min_recall=0.3))

    assert report.swapped, report.gates
    mapping = client.indices.get_mapping(index=report.index)[report.index]["mappings"]
    options = mapping["properties"]["vector"]["index_options"]
    assert (options["type"], options["m"]) == ({"byte": "int8_hnsw", "float": "hnsw"}[kind], 8)


def test_what_the_engine_does_not_have_is_said(client: OpenSearch, shop: Shop) -> None:
    """Before anything is made."""
    assert detect(client).name == "elasticsearch"
    for vector in (VectorField(engine="faiss"), VectorField(type="fp16")):
        with pytest.raises(ConfigError, match="Elasticsearch has no type"):
            shop.build(schema=replace(BEIR, vector=vector))
    # The server of Maven Central, without module analysis-common.
    with pytest.raises(ConfigError, match=r"elasticsearch .* comes without .* synonym_graph"):
        shop.build(schema=replace(BEIR, synonyms=("table, desk",)))
    assert indexes(client, shop.plan.alias) == []
