"""Fixtures of tests that build indexes."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from opensearchpy import OpenSearch

from index_builder.plan import Plan
from rerank_core.cluster.connection import connect
from rerank_core.cluster.settings import ClusterSettings
from tests.index_builds import QUICK, MakeShop, Shop, indexes, lenient, write_jsonl
from tests.tiny_models import make_bi_encoder, make_cross_encoder


@dataclass(frozen=True)
class SmallModels:
    """Folders of small real models with random weights."""

    bi_encoder: Path
    cross_encoder: Path


@pytest.fixture(scope="module")
def one_thread() -> Iterator[None]:
    """Small products gain nothing from torch's threads, which wait for each other on busy cores."""
    import torch  # noqa: PLC0415  most tests here need none

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def small_models(tmp_path_factory: pytest.TempPathFactory) -> SmallModels:
    """One pair for all tests that build indexes."""
    folder = tmp_path_factory.mktemp("models")
    return SmallModels(make_bi_encoder(folder / "bi"), make_cross_encoder(folder / "cross"))


@pytest.fixture
def builder_client(cluster: ClusterSettings) -> Iterator[OpenSearch]:
    with connect(replace(cluster, timeout_s=60)) as client:
        yield client


@pytest.fixture
def make_shop(
    builder_client: OpenSearch, cluster: ClusterSettings, small_models: SmallModels, tmp_path: Path
) -> Iterator[MakeShop]:
    """Makes a catalogue under an alias of its own; its indexes are deleted, each by its name."""
    aliases: list[str] = []

    def make(rows: list[dict[str, Any]]) -> Shop:
        alias = f"test-{uuid.uuid4().hex}"
        aliases.append(alias)
        folder = tmp_path / alias
        folder.mkdir()
        file = write_jsonl(folder / "shop.jsonl", rows)
        plan = Plan(
            catalogue=(str(file),),
            alias=alias,
            encoder=str(small_models.bi_encoder),
            reranker=str(small_models.cross_encoder),
            rejects=folder / "rejects.jsonl",
            checkpoint=folder / "checkpoint",
            replicas=0,
            gates=lenient(),
            limits=QUICK,
        )
        return Shop(builder_client, replace(cluster, timeout_s=60), plan, file)

    yield make
    for alias in aliases:
        for index in indexes(builder_client, alias):
            builder_client.indices.delete(index=index)
