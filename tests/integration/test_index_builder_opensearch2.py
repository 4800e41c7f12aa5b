"""Builds on OpenSearch 2.19.1, the oldest that is served."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from opensearchpy import OpenSearch
from rich.console import Console

from index_builder.plan import Plan
from index_builder.progress import Progress
from index_builder.schema import BEIR
from index_builder.update import update
from index_builder.versions import rollback
from local_cluster import LocalCluster
from local_cluster.distribution import OPENSEARCH_2
from rerank_core.cluster.connection import connect
from rerank_core.cluster.release import resolve_alias
from rerank_core.cluster.settings import ClusterSettings
from rerank_core.cluster.vectors import VectorField, VectorType
from tests.index_builds import QUICK, Shop, lenient, products, write_jsonl
from tests.integration.conftest import SmallModels

pytestmark = [pytest.mark.long, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def node() -> Iterator[ClusterSettings]:
    with LocalCluster.start(distribution=OPENSEARCH_2) as cluster:
        yield replace(cluster.settings, timeout_s=60)


@pytest.fixture
def client(node: ClusterSettings) -> Iterator[OpenSearch]:
    with connect(node) as client:
        yield client


@pytest.fixture
def shop(
    client: OpenSearch, node: ClusterSettings, small_models: SmallModels, tmp_path: Path
) -> Shop:
    file = write_jsonl(tmp_path / "shop.jsonl", products(400, texts=400))
    plan = Plan(
        catalogue=(str(file),),
        alias=f"shop-{tmp_path.name.lower().strip('_')}",
        encoder=str(small_models.bi_encoder),
        reranker=str(small_models.cross_encoder),
        rejects=tmp_path / "rejects.jsonl",
        checkpoint=tmp_path / "checkpoint",
        replicas=0,
        gates=lenient(min_recall=0.5),
        limits=QUICK,
    )
    return Shop(client, node, plan, file)


@pytest.mark.parametrize("kind", ["float", "byte", "on-disk"])
def test_every_gate_passes_for_each_type_of_the_lucene_engine(shop: Shop, kind: VectorType) -> None:
    """Recall among them, where bytes of close random vectors lose some and chance finds .025."""
    report = shop.build(schema=replace(BEIR, vector=VectorField(type=kind)))

    assert report.swapped, report.gates
    assert report.documents == 400
    figures = {gate.name: gate.verdict for gate in report.gates}
    assert figures.pop("ratio to live") == "not run"  # nothing was live before
    assert figures == dict.fromkeys(("count", "vectors", "recall", "templates", "health"), "passed")
    _, release = resolve_alias(shop.client, shop.plan.alias)
    assert release.engine == "opensearch 2.19.1"


# Without _shard_doc all documents are ordered by their key, which this version advises against.
@pytest.mark.filterwarnings("ignore:Loading the fielddata on the _id field")
def test_the_whole_life_of_an_alias(shop: Shop) -> None:
    """An update of an unchanged catalogue encodes nothing; an index is read again; and back."""
    first = shop.build()
    progress = Progress(Console(file=io.StringIO()))
    unchanged = update(shop.plan, shop.client, shop.settings, progress)
    assert (unchanged.unchanged, unchanged.encoded, unchanged.deleted) == (400, 0, 0)

    again = shop.build(catalogue=(f"index:{first.index}",))
    assert again.replaced == first.index
    assert shop.contents(first.index) == shop.contents(again.index)

    rollback(shop.client, shop.plan.alias, None, progress)
    assert shop.live == first.index
