"""Whole builds on a real cluster with small real models."""

from __future__ import annotations

import io
import json
import re
import threading
import time
import uuid
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from opensearchpy import ConnectionTimeout, OpenSearch
from rich.console import Console
from safetensors.torch import load_file, save_file

from index_builder.gates import GateBounds
from index_builder.lock import LOCKS, read_lock
from index_builder.plan import Plan
from index_builder.progress import Progress
from index_builder.rebuild import build
from index_builder.report import Report
from index_builder.schema import Field, Schema
from index_builder.sending import SendLimits, Sent
from rerank_core.artifact import open_artifact
from rerank_core.cluster.connection import connect
from rerank_core.cluster.release import resolve_alias
from rerank_core.cluster.settings import ClusterSettings
from rerank_core.engine import Engine, load_bi_encoder
from rerank_core.errors import (
    ArtifactError,
    ClusterRefused,
    ClusterTimeout,
    ClusterUnavailable,
    ConfigError,
    InputError,
    ReleaseError,
)
from tests.tiny_models import make_bi_encoder, make_cross_encoder

PRODUCTS = [
    {
        "_id": "d1",
        "title": "Cordless drill 18 V",
        "text": "with two batteries",
        "brand": "Acme",
        "category": ["Tools", "Drills"],
        "price_cents": 9900,
    },
    {"_id": "s1", "title": "Grey sofa", "brand": "", "color": "grey", "price_cents": None},
    {"_id": "s2", "title": "Cover for a sofa"},
]


@dataclass(frozen=True)
class Models:
    bi_encoder: Path
    cross_encoder: Path


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Models:
    folder = tmp_path_factory.mktemp("models")
    return Models(make_bi_encoder(folder / "bi"), make_cross_encoder(folder / "cross"))


@pytest.fixture
def client(cluster: ClusterSettings) -> Iterator[OpenSearch]:
    with connect(replace(cluster, timeout_s=60)) as client:
        yield client


@pytest.fixture
def alias(client: OpenSearch) -> Iterator[str]:
    """A free alias; the indexes that a test builds for it are deleted, each by its name."""
    name = f"test-{uuid.uuid4().hex}"
    yield name
    for index in indexes(client, name):
        client.indices.delete(index=index)


@pytest.fixture
def plan(tmp_path: Path, models: Models, alias: str) -> Plan:
    """A build of `PRODUCTS`."""
    return Plan(
        catalogue=(str(write_jsonl(tmp_path / "shop.jsonl", PRODUCTS)),),
        alias=alias,
        encoder=str(models.bi_encoder),
        reranker=str(models.cross_encoder),
        rejects=tmp_path / "rejects.jsonl",
        checkpoint=tmp_path / "checkpoint",
        gates=GateBounds(min_ratio_to_live=0),
    )


def shop_of(plan: Plan) -> Path:
    """The one file that the plan reads."""
    return Path(plan.catalogue[0])


Run = Callable[[Plan], Report]


@pytest.fixture
def said() -> io.StringIO:
    """What the build says."""
    return io.StringIO()


@pytest.fixture
def run(client: OpenSearch, cluster: ClusterSettings, said: io.StringIO) -> Run:
    return lambda plan: build(plan, client, cluster, Progress(Console(file=said)))


def write_jsonl(path: Path, rows: Iterable[object]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def indexes(client: OpenSearch, alias: str) -> list[str]:
    """All that were built for an alias."""
    return sorted(client.indices.get(index=f"{alias}-*"))


def rejected(plan: Plan) -> list[dict[str, Any]]:
    assert plan.rejects is not None
    return [json.loads(line) for line in plan.rejects.read_text().splitlines()]


def stored(client: OpenSearch, index: str) -> dict[str, dict[str, Any]]:
    hits = client.search(index=index, body={"size": 100})["hits"]["hits"]
    return {hit["_id"]: hit["_source"] for hit in hits}


def test_a_catalogue_becomes_an_index_behind_the_alias(
    client: OpenSearch, run: Run, plan: Plan, models: Models
) -> None:
    """Fields as given without the blank ones, the reranker's text, and a vector each."""
    report = run(plan)

    assert (report.documents, report.rejected, report.replaced) == (3, 0, None)
    assert client.indices.get_alias(name=plan.alias) == {
        report.index: {"aliases": {plan.alias: {}}}
    }
    found = stored(client, report.index)
    vectors = np.array([found[key].pop("vector") for key in ("d1", "s1", "s2")], np.float32)
    texts = [
        "Cordless drill 18 V Acme Tools Drills with two batteries",
        "Grey sofa grey",
        "Cover for a sofa",
    ]
    hashes = [found[key].pop("content_hash") for key in found]
    assert len(set(hashes)) == 3
    assert found == {
        "d1": {
            "title": "Cordless drill 18 V",
            "text": "with two batteries",
            "brand": "Acme",
            "category": ["Tools", "Drills"],
            "price_cents": 9900,
            "rerank_text": texts[0],
        },
        "s1": {"title": "Grey sofa", "color": "grey", "rerank_text": texts[1]},
        "s2": {"title": "Cover for a sofa", "rerank_text": texts[2]},
    }
    with Engine() as engine:
        encoder = load_bi_encoder(open_artifact(models.bi_encoder))
        np.testing.assert_allclose(vectors, engine.encode(encoder, texts), atol=1e-6)


def test_the_release_says_what_the_index_was_built_with(
    client: OpenSearch, run: Run, plan: Plan, models: Models
) -> None:
    """Hashes of both models' manifests, templates that are there, counts, and the time."""
    write_jsonl(shop_of(plan), [*PRODUCTS, {"title": "no key"}])

    index, release = run(plan).index, resolve_alias(client, plan.alias)[1]

    bi, cross = open_artifact(models.bi_encoder), open_artifact(models.cross_encoder)
    assert resolve_alias(client, plan.alias)[0] == index
    assert release.encoder_name == "bi"
    assert release.encoder_hash == bi.manifest.model_hash
    assert release.encoder_recipe_hash == bi.manifest.recipe.hash
    assert release.recipe_hash == cross.manifest.recipe.hash
    assert (release.documents, release.rejected) == (3, 1)
    assert timedelta(0) <= datetime.now(UTC) - release.built_at < timedelta(minutes=10)
    for name, template_id in release.templates.items():
        assert template_id.startswith(f"{name}@")
        assert client.get_script(id=template_id)["found"]


def test_settings_for_loading_are_gone_afterwards(client: OpenSearch, run: Run, plan: Plan) -> None:
    """Refreshes are the cluster's default again, replicas and shards as asked for."""
    index = run(replace(plan, shards=2, replicas=3)).index

    settings = client.indices.get_settings(index=index)[index]["settings"]["index"]
    assert settings["number_of_replicas"] == "3"
    assert settings["number_of_shards"] == "2"
    assert "refresh_interval" not in settings
    assert "translog" not in settings


def test_a_second_build_moves_the_alias_and_leaves_the_first_index(
    client: OpenSearch, run: Run, plan: Plan
) -> None:
    """So that one can go back."""
    first = run(plan)
    write_jsonl(shop_of(plan), [{"_id": "n1", "title": "New product"}])

    second = run(plan)

    assert second.replaced == first.index
    assert set(client.indices.get_alias(name=plan.alias)) == {second.index}
    assert set(stored(client, second.index)) == {"n1"}
    assert set(stored(client, first.index)) == {"d1", "s1", "s2"}


def test_two_builds_in_one_second_have_two_indexes(
    client: OpenSearch, run: Run, plan: Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A name has the alias, the time, and a part that is its own."""

    class Stopped(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> datetime:
            return datetime(2026, 1, 2, 3, 4, 5, tzinfo=tz)

    monkeypatch.setattr("index_builder.index.datetime", Stopped)

    names = {run(plan).index for _ in range(3)}

    assert len(names) == 3
    for name in names:
        assert re.fullmatch(rf"{plan.alias}-20260102t030405000z-[0-9a-f]{{8}}", name)


@pytest.mark.parametrize(
    "lost", [ConnectionTimeout("TIMEOUT", "read timed out", TimeoutError()), KeyboardInterrupt()]
)
def test_a_lost_answer_to_the_creation_leaves_no_index(
    client: OpenSearch,
    run: Run,
    plan: Plan,
    said: io.StringIO,
    monkeypatch: pytest.MonkeyPatch,
    lost: BaseException,
) -> None:
    """The cluster has made it all the same, so it is deleted."""
    create = client.indices.create

    def create_and_lose_the_answer(**arguments: Any) -> Any:
        create(**arguments)
        raise lost

    monkeypatch.setattr(client.indices, "create", create_and_lose_the_answer)

    with pytest.raises((ClusterTimeout, KeyboardInterrupt)):
        run(plan)

    assert indexes(client, plan.alias) == []
    assert "was not finished and is deleted; the alias was not touched" in said.getvalue()


def test_an_index_that_was_not_created_is_not_spoken_of(
    client: OpenSearch, run: Run, plan: Plan, said: io.StringIO
) -> None:
    """There is nothing to delete."""
    with pytest.raises(ClusterRefused):
        run(replace(plan, schema=Schema({"title": Field("text")}, language="klingon")))

    assert "delete" not in said.getvalue()


def test_rejects_never_replace_the_catalogue(client: OpenSearch, run: Run, plan: Plan) -> None:
    """Refused before an index is made, and the catalogue is as it was."""
    before = shop_of(plan).read_text()

    with pytest.raises(ConfigError, match="is the catalogue itself"):
        run(replace(plan, rejects=shop_of(plan)))

    assert shop_of(plan).read_text() == before
    assert indexes(client, plan.alias) == []


def test_what_an_alias_filters_by_moves_with_it(client: OpenSearch, run: Run, plan: Plan) -> None:
    """A filtered alias does not lose its filter by a rebuild."""
    first = run(plan).index
    shown = {"filter": {"term": {"title": "sofa"}}, "search_routing": "1"}
    client.indices.put_alias(index=first, name=plan.alias, body=shown)

    second = run(plan).index

    kept = client.indices.get_alias(name=plan.alias)[second]["aliases"][plan.alias]
    assert kept == shown


def test_bad_rows_are_rejected_and_the_rest_is_indexed(
    client: OpenSearch, run: Run, plan: Plan
) -> None:
    """Those that cannot be read, those that are malformed, and those the cluster refuses."""
    long_brand = "b" * 40_000  # a keyword holds 32,766 bytes
    lines = [
        '{"_id": "good", "title": "oak table"}',
        '{"_id": "cut", "title": "oa',
        '{"_id": "", "title": "no key"}',
        '{"_id": "good", "title": "again"}',
        f'{{"_id": "long", "title": "oak", "brand": "{long_brand}"}}',
        '{"_id": "typed", "title": "oak", "price_cents": "cheap"}',
        '{"_id": "last", "title": "oak chair", "size": 3, "size_unit": "m"}',
    ]
    shop_of(plan).write_text("\n".join(lines))

    report = run(plan)

    assert set(stored(client, report.index)) == {"good", "last"}
    assert (report.documents, report.rejected) == (2, 5)
    assert report.unknown_columns == ("size", "size_unit")
    assert report.rejects_file == str(plan.rejects)
    by_line = {reject["line"]: reject for reject in rejected(plan)}
    assert {line: reject["id"] for line, reject in by_line.items()} == {
        2: None,
        3: "",
        4: "good",
        5: "long",
        6: "typed",
    }
    assert by_line[5]["reason"].startswith("refused by the cluster: Document contains at least one")
    assert by_line[5]["row"]["brand"] == long_brand


@pytest.mark.parametrize(
    ("lines", "problem"),
    [
        ("", "has no rows"),
        ("\n\n", "has no rows"),
        ('{"title": "a"}\nnot json\n', "has no good row; line 1: _id: missing.* all 2 are in"),
        ('{"_id": "a", "title": "x", "brand": "BRAND"}', "has no good row; line 1: refused by"),
    ],
)
def test_a_catalogue_without_a_good_row_moves_nothing(
    client: OpenSearch, run: Run, plan: Plan, lines: str, problem: str
) -> None:
    """The alias stays, the new index goes."""
    live = run(plan).index
    shop_of(plan).write_text(lines.replace("BRAND", "b" * 40_000))

    with pytest.raises(InputError, match=problem):
        run(plan)

    assert set(client.indices.get_alias(name=plan.alias)) == {live}
    assert indexes(client, plan.alias) == [live]


def test_a_schema_gives_other_columns_and_types(
    client: OpenSearch, run: Run, plan: Plan, said: io.StringIO
) -> None:
    """Custom fields are searched by the same template, filtered by whole values, and sorted."""
    schema = Schema(
        fields={
            "title": Field("text", column="name"),
            "material": Field("keyword", list_separator="/"),
            "width_cm": Field("number"),
            "in_stock": Field("boolean"),
        },
        id="sku",
    )
    catalogue = shop_of(plan).with_suffix(".csv")
    catalogue.write_text(
        "sku,name,material,width_cm,in_stock\n7,Table,oak/steel,120.5,true\n8,Chair,elm,,false\n"
    )

    report = run(replace(plan, catalogue=(str(catalogue),), schema=schema))

    found = stored(client, report.index)
    for name in ("vector", "content_hash"):
        del found["7"][name], found["8"][name]
    assert "the models read the field brand, which the schema does not have" in said.getvalue()
    assert found == {
        "7": {
            "title": "Table",
            "material": ["oak", "steel"],
            "width_cm": 120.5,
            "in_stock": True,
            "rerank_text": "Table",
        },
        "8": {"title": "Chair", "material": ["elm"], "in_stock": False, "rerank_text": "Chair"},
    }
    _, release = resolve_alias(client, plan.alias)
    parameters = {
        "query": "steel",
        "size": 10,
        "filters": [{"term": {"material.keyword": "oak"}}, {"range": {"width_cm": {"gte": 120}}}],
        "facets": {},
        "source_fields": False,
    }
    answer = client.search_template(
        index=plan.alias, body={"id": release.templates["lexical"], "params": parameters}
    )
    assert [hit["_id"] for hit in answer["hits"]["hits"]] == ["7"]


def test_words_are_stemmed_by_the_schemas_language(
    client: OpenSearch, run: Run, plan: Plan
) -> None:
    """German plurals meet with German, and do not with English."""
    write_jsonl(shop_of(plan), [{"_id": "1", "title": "Lampen"}])

    def hits(language: str) -> int:
        schema = Schema({"title": Field("text")}, language=language)
        index = run(replace(plan, schema=schema)).index
        query = {"query": {"match": {"title": "Lampe"}}}
        return int(client.search(index=index, body=query)["hits"]["total"]["value"])

    assert (hits("german"), hits("english")) == (1, 0)


def test_a_language_that_the_cluster_does_not_know_is_refused(
    client: OpenSearch, run: Run, plan: Plan
) -> None:
    """By the cluster's own words, and nothing is left."""
    schema = Schema({"title": Field("text")}, language="klingon")

    with pytest.raises(ClusterRefused, match="Invalid stemmer class specified: Klingon"):
        run(replace(plan, schema=schema))

    assert indexes(client, plan.alias) == []


def test_parquet_and_jsonl_give_the_same_index(client: OpenSearch, run: Run, plan: Plan) -> None:
    """The format leaves no trace."""
    from_jsonl = stored(client, run(plan).index)
    parquet = shop_of(plan).with_suffix(".parquet")
    columns = {column: None for product in PRODUCTS for column in product}
    pq.write_table(pa.Table.from_pylist([{**columns, **row} for row in PRODUCTS]), parquet)

    assert stored(client, run(replace(plan, catalogue=(str(parquet),))).index) == from_jsonl


def test_several_chunks_and_requests_lose_nothing(
    client: OpenSearch, run: Run, plan: Plan, said: io.StringIO
) -> None:
    """More than two chunks of 2,048, each of several requests, counted by the cluster."""
    write_jsonl(shop_of(plan), ({"_id": str(at), "title": f"part {at % 7}"} for at in range(4500)))

    report = run(plan)

    assert report.documents == 4500
    assert client.count(index=report.index)["count"] == 4500
    assert "4,500 documents, " in said.getvalue()
    assert report.requests >= 9  # of 500 at most
    stages = {"read", "encode", "serialise", "wait for cluster", "finish", "changes", "verify"}
    assert set(report.busy_s) == stages
    assert report.documents_per_second == pytest.approx(4500 / report.seconds)


def test_an_index_with_the_aliass_name_is_an_error_before_any_work(
    client: OpenSearch, run: Run, plan: Plan, index_name: str
) -> None:
    """Nothing is built that could not be swapped in."""
    client.indices.create(index=index_name)

    with pytest.raises(ReleaseError, match="is an index, not an alias"):
        run(replace(plan, alias=index_name))

    assert indexes(client, index_name) == []


def test_an_encoder_that_fails_moves_nothing(
    client: OpenSearch, run: Run, plan: Plan, tmp_path: Path
) -> None:
    """Weights that overflow are refused when they are loaded, before there is an index."""
    folder = make_bi_encoder(tmp_path / "bi")
    weights = load_file(folder / "model.safetensors")
    save_file({name: value * 1e10 for name, value in weights.items()}, folder / "model.safetensors")

    with pytest.raises(ArtifactError, match="the weights are finite but too large"):
        run(replace(plan, encoder=str(folder)))

    assert indexes(client, plan.alias) == []


class Interrupting(Progress):
    """Something happens once documents were written, or before any is read."""

    def __init__(
        self, happens: Callable[[], object], *, first: bool = False, after: int = 1
    ) -> None:
        self._file = io.StringIO()
        super().__init__(Console(file=self._file))
        self._happens = happens
        self._first = first
        self._after = after

    @property
    def said(self) -> str:
        """All that was said."""
        return self._file.getvalue()

    def begin(self, total_bytes: int | None) -> None:
        """Nothing is read yet."""
        super().begin(total_bytes)
        if self._first:
            self._happens()

    def sending(self, sent: Sent) -> None:
        """A chunk was handed over: waits until the cluster has taken some of it."""
        super().sending(sent)
        while not self._first and sent.written < self._after:
            time.sleep(0.01)
        if not self._first:
            self._happens()


@pytest.mark.parametrize("builds_before", [0, 1])
def test_an_alias_that_moved_meanwhile_stays_where_it_is(
    client: OpenSearch,
    cluster: ClusterSettings,
    plan: Plan,
    run: Run,
    builds_before: int,
) -> None:
    """By hand, past the lock: the build gives way, and keeps its index."""
    for _ in range(builds_before):
        run(plan)
    other = f"{plan.alias}-by-hand"

    def move() -> None:
        client.indices.create(index=other)
        actions = [{"remove": {"index": f"{plan.alias}-*", "alias": plan.alias}}]
        actions = [
            *(actions if builds_before else []),
            {"add": {"index": other, "alias": plan.alias}},
        ]
        client.indices.update_aliases(body={"actions": actions})

    with pytest.raises(ReleaseError, match=r"when this build began, and no longer does"):
        build(plan, client, cluster, Interrupting(move))

    assert len(indexes(client, plan.alias)) == 2 + builds_before
    assert list(client.indices.get_alias(name=plan.alias)) == [other]


def test_two_builds_of_one_alias_at_once_are_refused(
    client: OpenSearch, cluster: ClusterSettings, plan: Plan, run: Run, tmp_path: Path
) -> None:
    """The second is told who builds and into what, makes no index, and the first one ends well."""
    refused: list[str] = []

    def build_too() -> None:
        with pytest.raises(
            ReleaseError, match=r"is being rebuilt by .* process \d+ .* into "
        ) as told:
            run(replace(plan, checkpoint=tmp_path / "other"))
        refused.append(str(told.value))

    report = build(plan, client, cluster, Interrupting(build_too))

    assert report.index in refused[0]
    assert indexes(client, plan.alias) == [report.index]
    assert not (tmp_path / "other").exists()
    assert run(plan).replaced == report.index  # the lock is free again


def test_a_build_that_lost_its_lock_gives_way(
    client: OpenSearch, cluster: ClusterSettings, plan: Plan
) -> None:
    """Another builder has it, as after a long pause: looked at again just before the swap."""

    def steal() -> None:
        client.index(index=LOCKS, id=plan.alias, body={"owner": "another", "index": "x"})

    with pytest.raises(ReleaseError, match=r"the lock of this build ran out"):
        build(plan, client, cluster, Interrupting(steal))

    assert not client.indices.exists_alias(name=plan.alias)
    assert read_lock(client, plan.alias)["_source"]["owner"] == "another"
    client.delete(index=LOCKS, id=plan.alias)


def test_a_lock_that_ran_out_is_taken_over(client: OpenSearch, plan: Plan, run: Run) -> None:
    """Its builder is dead: nobody has to clear it away."""
    run(plan)
    past = "2026-01-01T00:00:00+00:00"
    body = {"owner": "dead", "index": "x", "expires_at": past}
    client.index(index=LOCKS, id=plan.alias, body=body)

    assert run(plan).swapped

    assert read_lock(client, plan.alias) is None


def test_two_first_builds_that_end_together_never_share_the_alias(
    client: OpenSearch, plan: Plan, run: Run, said: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another index comes between looking the alias up and adding it: this one gives way."""
    move = client.indices.update_aliases
    other = f"{plan.alias}-by-hand"

    def be_overtaken(**arguments: Any) -> Any:
        client.indices.create(index=other, body={"aliases": {plan.alias: {}}})
        return move(**arguments)

    monkeypatch.setattr(client.indices, "update_aliases", be_overtaken)

    with pytest.raises(ReleaseError, match="did not exist when this build began"):
        run(plan)

    assert list(client.indices.get_alias(name=plan.alias)) == [other]
    [slower] = set(indexes(client, plan.alias)) - {other}
    assert f"{slower} is complete and stays; move the alias" in said.getvalue()


@pytest.mark.parametrize("looks", [0, 1])
def test_a_failed_look_at_the_alias_leaves_the_complete_index(
    client: OpenSearch,
    plan: Plan,
    run: Run,
    said: io.StringIO,
    monkeypatch: pytest.MonkeyPatch,
    looks: int,
) -> None:
    """Before the move and after it: hours of encoding stay, and in which state is said."""
    look_up = client.indices.get_alias
    looked = 0

    def look_up_in_vain(**arguments: Any) -> Any:
        nonlocal looked
        looked += 1
        if looked <= looks:
            return look_up(**arguments)
        raise ConnectionTimeout("TIMEOUT", "read timed out", TimeoutError())

    monkeypatch.setattr(client.indices, "get_alias", look_up_in_vain)

    with pytest.raises(ClusterTimeout):
        run(plan)

    [index] = indexes(client, plan.alias)
    assert f"{index} is complete and stays; move the alias" in said.getvalue()
    assert ("may have moved" in said.getvalue()) == bool(looks)


def test_an_alias_that_moves_at_the_last_moment_stays_where_it_is(
    client: OpenSearch, plan: Plan, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between looking the alias up and moving it: then the cluster itself refuses."""
    first = run(plan).index
    look_up = client.indices.get_alias

    def look_up_and_lose(**arguments: Any) -> Any:
        answer = look_up(**arguments)
        client.indices.delete_alias(index=first, name=plan.alias)
        return answer

    monkeypatch.setattr(client.indices, "get_alias", look_up_and_lose)

    with pytest.raises(ReleaseError, match="no longer does: another build was faster"):
        run(plan)

    assert not client.indices.exists_alias(name=plan.alias)
    assert len(indexes(client, plan.alias)) == 2


def test_a_lost_answer_to_the_move_deletes_nothing(
    client: OpenSearch, plan: Plan, run: Run, said: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The alias may have moved, as it has here, so the index stays and the doubt is said."""
    move = client.indices.update_aliases

    def move_and_lose_the_answer(**arguments: Any) -> Any:
        move(**arguments)
        raise ConnectionTimeout("TIMEOUT", "read timed out", TimeoutError())

    monkeypatch.setattr(client.indices, "update_aliases", move_and_lose_the_answer)

    with pytest.raises(ClusterTimeout):
        run(plan)

    [index] = indexes(client, plan.alias)
    assert set(client.indices.get_alias(name=plan.alias)) == {index}
    assert f"may have moved to {index} or not; ask GET _alias/{plan.alias}" in said.getvalue()
    assert f"{index} is complete and stays" in said.getvalue()


def test_an_unfinished_index_that_cannot_be_deleted_is_named(
    client: OpenSearch, cluster: ClusterSettings, plan: Plan
) -> None:
    """What is left on the cluster is never left in silence."""

    def block_and_interrupt() -> None:
        [index] = indexes(client, plan.alias)
        set_block(client, index, blocked=True)
        raise KeyboardInterrupt

    progress = Interrupting(block_and_interrupt, first=True)

    with pytest.raises(KeyboardInterrupt):
        build(plan, client, cluster, progress)

    said = re.search(r"(\S+) is unfinished and stays; delete it: .*403", progress.said)
    assert said
    set_block(client, said[1], blocked=False)
    assert indexes(client, plan.alias) == [said[1]]


def set_block(client: OpenSearch, index: str, *, blocked: bool) -> None:
    """An index whose metadata is blocked can be neither read about nor deleted."""
    client.indices.put_settings(index=index, body={"index.blocks.metadata": blocked})


def test_an_index_that_somebody_else_writes_to_is_not_released(
    client: OpenSearch, cluster: ClusterSettings, plan: Plan
) -> None:
    """The count is the cluster's own, and one more is one too many."""

    def intrude() -> None:
        [index] = indexes(client, plan.alias)
        client.index(index=index, id="intruder", body={"title": "x"})

    report = build(plan, client, cluster, Interrupting(intrude))

    assert not report.swapped
    count = report.gates[0]
    assert (count.name, count.verdict, count.figure, count.bound) == ("count", "failed", 4, 3)
    assert not client.indices.exists_alias(name=plan.alias)


@pytest.fixture
def large(plan: Plan) -> Plan:
    """A catalogue of two chunks."""
    write_jsonl(shop_of(plan), ({"_id": str(at), "title": "part"} for at in range(2100)))
    return plan


def test_a_refusal_that_is_not_the_rows_fault_ends_the_build(
    client: OpenSearch, cluster: ClusterSettings, large: Plan, run: Run
) -> None:
    """An index that may not be written to rejects no rows; the alias stays."""
    live = run(large).index

    def block() -> None:
        [fresh] = [index for index in indexes(client, large.alias) if index != live]
        client.indices.put_settings(index=fresh, body={"index.blocks.write": True})

    with pytest.raises(ClusterRefused, match=r"answers 403: .*index write"):
        build(large, client, cluster, Interrupting(block))

    assert large.rejects is not None
    assert not large.rejects.exists()
    assert set(client.indices.get_alias(name=large.alias)) == {live}


def set_full_disk(client: OpenSearch, alias: str, *, full: bool) -> None:
    """What the cluster does to an index whose disk is full: it answers 429 to every write."""
    for index in indexes(client, alias):
        settings = {"index.blocks.read_only_allow_delete": full or None}
        client.indices.put_settings(index=index, body=settings)


def test_a_busy_cluster_is_asked_again(
    client: OpenSearch, cluster: ClusterSettings, large: Plan
) -> None:
    """Documents that are put off are written once the cluster takes them; none is rejected."""
    recovery = threading.Timer(1, set_full_disk, (client, large.alias), {"full": False})

    def fill() -> None:
        if recovery.ident is None:
            set_full_disk(client, large.alias, full=True)
            recovery.start()

    report = build(large, client, cluster, Interrupting(fill))

    assert (report.documents, report.rejected) == (2100, 0)
    assert report.retries > 0


def test_a_cluster_that_stays_busy_ends_the_build(
    client: OpenSearch, cluster: ClusterSettings, large: Plan, run: Run
) -> None:
    """With what it says itself; no row is rejected, and once it has room the build goes on."""
    impatient = replace(large, limits=SendLimits(patience_s=0.5, most_in_flight=1))
    full = Interrupting(lambda: set_full_disk(client, large.alias, full=True), after=2048)

    with pytest.raises(ClusterUnavailable, match=r"answers 429: .*try again later"):
        build(impatient, client, cluster, full)

    assert large.rejects is not None
    assert not large.rejects.exists()
    [unfinished] = indexes(client, large.alias)
    set_full_disk(client, large.alias, full=False)
    report = run(replace(large, resume=True))
    assert (report.index, report.documents) == (unfinished, 2100)


def test_products_that_no_template_finds_are_not_released(
    client: OpenSearch, plan: Plan, run: Run
) -> None:
    """The lexical leg would answer nothing: the build ends before the alias moves."""
    write_jsonl(shop_of(plan), [{"_id": "1", "title": "!!! ???"}])

    report = run(plan)

    assert not report.swapped
    [failed] = [gate for gate in report.gates if gate.verdict == "failed"]
    assert failed.name == "templates"
    assert "search template lexical@" in failed.detail
    assert "finds none of 1 sampled" in failed.detail
    assert not client.indices.exists_alias(name=plan.alias)


@pytest.mark.parametrize("role", ["encoder", "reranker"])
def test_models_of_the_wrong_kind_are_refused(
    client: OpenSearch, run: Run, plan: Plan, role: str
) -> None:
    """Before anything is created."""
    other = {"encoder": plan.reranker, "reranker": plan.encoder}[role]

    with pytest.raises(ArtifactError, match=r"is a (cross|bi)-encoder"):
        run(replace(plan, **{role: other}))

    assert indexes(client, plan.alias) == []
