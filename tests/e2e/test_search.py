"""Search end to end: a real cluster, a real index, the real server, over a real channel."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import grpc
import httpx
import pytest

from demo.stack import await_serving
from local_cluster import Ticker, start_kept, stop_kept
from rerank_client import (
    AccessError,
    AsyncRerankClient,
    DeadlineExceededError,
    Document,
    Filter,
    InvalidRequestError,
    NotFoundError,
    PreconditionError,
    RerankClient,
    SearchResult,
    UnavailableError,
)
from rerank_core.cluster.connection import connect, connect_async
from rerank_core.cluster.profile import Profile
from rerank_core.cluster.settings import ClusterSettings
from rerank_core.engine import Engine
from rerank_proto.rerank.v1.rerank_pb2 import ReloadRequest, RollbackRequest
from rerank_proto.rerank.v1.rerank_pb2_grpc import AdminServiceStub
from sidecar.admission.turnstile import Turnstile
from sidecar.config import ModelSettings, Settings
from sidecar.cursor import CursorSigner
from sidecar.frame import Frame
from sidecar.funnel import Funnel
from sidecar.gate import Gate as Door
from sidecar.health import Health
from sidecar.listener import listening
from sidecar.live import Live, Standing
from sidecar.models import ModelShelf, load_models
from sidecar.reload import Reloader
from sidecar.scorer import Scorer
from sidecar.search_task import SearchTask
from sidecar.security.caller import Caller
from sidecar.security.keys import new_key
from sidecar.server import stand_on
from sidecar.services import open_services
from sidecar.stages import Stages
from sidecar.telemetry.metrics import Metrics
from sidecar.telemetry.traces import NoTraces
from tests.gated_path import Gate, eventually, gated
from tests.sidecar_process import Sidecar, running
from tests.tiny_models import make_bi_encoder, make_cross_encoder

PRODUCTS = [
    {"_id": "d1", "title": "Cordless drill 18 V", "brand": "Acme", "price_cents": 9900},
    {"_id": "d2", "title": "Corded hammer drill", "brand": "Zeta", "price_cents": 5900},
    {"_id": "d3", "title": "Drill bit set, 20 pieces", "brand": "Acme", "price_cents": 1900},
    {"_id": "s1", "title": "Sofa, three seats, grey", "brand": "Zeta", "price_cents": 59900},
    {"_id": "s2", "title": "Cover for a sofa", "brand": "Acme", "price_cents": 2900},
    {"_id": "l1", "title": "Desk lamp", "brand": "Zeta", "price_cents": 2500},
]
PROFILE = """
[profiles.{name}]
alias = "{alias}"
page_size = 2
depth = 50
fields = ["title", "brand", "price_cents"]
[profiles.{name}.filters.brand]
field = "brand.keyword"
[profiles.{name}.filters.price]
field = "price_cents"
kind = "range"
[profiles.{name}.facets.brand]
field = "brand.keyword"
"""


@dataclass(frozen=True)
class Shop:
    """An index of `PRODUCTS` and the models it was built with."""

    cluster: ClusterSettings
    alias: str
    cross_encoder: Path
    bi_encoder: Path
    folder: Path

    def build(self, alias: str) -> str:
        """Builds an index behind `alias`; its name."""
        catalogue = self.folder / "catalogue.jsonl"
        catalogue.write_text("".join(json.dumps(product) + "\n" for product in PRODUCTS))
        subprocess.run(
            [
                *(sys.executable, "-m", "index_builder", "rebuild", str(catalogue)),
                *("--alias", alias, "--replicas", "0"),
                *("--encoder", str(self.bi_encoder), "--reranker", str(self.cross_encoder)),
                *("--rejects", str(self.folder / "rejects.jsonl")),
            ],
            env={**os.environ, "OPENSEARCH_URL": self.cluster.url},
            check=True,
            stdout=subprocess.DEVNULL,
        )
        with connect(self.cluster) as client:
            [index] = client.indices.get_alias(name=alias)
        return str(index)

    def delete(self, index: str) -> None:
        """Deletes exactly this index."""
        with connect(self.cluster) as client:
            client.indices.delete(index=index)


@pytest.fixture(scope="module")
def shop(cluster: ClusterSettings, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    folder = tmp_path_factory.mktemp("shop")
    shop = Shop(
        cluster,
        f"shop-{uuid.uuid4().hex}",
        make_cross_encoder(folder / "cross"),
        make_bi_encoder(folder / "bi"),
        folder,
    )
    index = shop.build(shop.alias)
    yield shop
    shop.delete(index)


@contextmanager
def serving(
    shop: Shop,
    folder: Path,
    *,
    alias: str = "",
    url: str = "",
    cross_encoder: Path | None = None,
    bi_encoder: Path | None = None,
    key: str = "",
    extra: str = "",
) -> Iterator[RerankClient]:
    """The server as its own process, and a client of it; what is not given is the shop's.

    `extra` are further lines of its settings.
    """
    folder.mkdir(exist_ok=True)
    config, port_file, log = folder / "sidecar.toml", folder / "port", folder / "log"
    config.write_text(
        f'port = 0\nport_file = "{port_file}"\npage_token_key = "{key}"\n'
        f'[models]\nreranker = "{cross_encoder or shop.cross_encoder}"\n'
        f'encoders = ["{bi_encoder or shop.bi_encoder}"]\n'
        f'[cluster]\nurl = "{url or shop.cluster.url}"\n'
        + PROFILE.format(name="shop", alias=alias or shop.alias)
        + extra
    )
    command = [sys.executable, "-m", "sidecar", "--config", str(config)]
    with log.open("wb") as output:
        keeper = start_kept(command, folder=folder, environ=dict(os.environ), output=output)
    try:
        target = await_serving(keeper, port_file, log, Ticker("sidecar", lambda _: None))
        with RerankClient(target, timeout_s=10) as client:
            yield client
    finally:
        stop_kept(keeper)


@pytest.fixture(scope="module")
def client(shop: Shop, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RerankClient]:
    with serving(shop, tmp_path_factory.mktemp("sidecar")) as client:
        yield client


def test_the_funnel_answers_with_reranked_hits(client: RerankClient, shop: Shop) -> None:
    """All products are candidates of the vector leg; they come by falling logit, each explained."""
    found = client.search("shop", "cordless drill", page_size=50, explain=True)
    assert {hit.id for hit in found.hits} == {product["_id"] for product in PRODUCTS}
    assert not found.degraded
    assert found.scored == len(PRODUCTS)
    logits = [hit.rerank.logit for hit in found.hits if hit.rerank]
    assert logits == sorted(logits, reverse=True)
    assert len(logits) == len(PRODUCTS)
    assert [hit.rank for hit in found.hits] == list(range(1, 7))
    assert sorted(hit.first_stage_rank for hit in found.hits) == list(range(1, 7))
    assert found.index.startswith(shop.alias)
    [drill] = [hit for hit in found.hits if hit.id == "d1"]
    assert drill.fields["title"] == ("Cordless drill 18 V",)
    assert drill.fields["price_cents"] == ("9900",)
    assert drill.explanation is not None
    assert {leg.leg for leg in drill.explanation.legs} == {"lexical", "vector"}
    # d1 alone has both words, so it leads the lexical leg.
    assert [leg.rank for leg in drill.explanation.legs if leg.leg == "lexical"] == [1]
    places = {at.stage: at.rank for at in drill.explanation.places}
    assert places == {"fuse": drill.first_stage_rank, "rerank": drill.rank}
    moved = "rerank" if drill.rank != drill.first_stage_rank else "fuse"
    assert drill.explanation.placed_by == moved
    assert found.plan is not None
    assert found.plan.fusion.startswith("own rrf: opensearch")
    assert found.plan.templates == "stored"
    assert [leg.leg for leg in found.plan.legs] == ["lexical", "vector"]
    # Three titles have the word drill.
    assert (found.total, found.total_is_exact) == (3, True)
    assert list(found.stages_ms)[:4] == ["validate", "resolve", "embed", "retrieve"]


def test_scores_are_those_of_rerank_on_the_same_text(client: RerankClient) -> None:
    """Search composes what Rerank composes from the same fields: one text, one score."""
    found = client.search("shop", "sofa", page_size=50)
    documents = [
        Document(str(p["_id"]), fields={"title": str(p["title"]), "brand": str(p["brand"])})
        for p in PRODUCTS
    ]
    ranking = client.rerank("sofa", documents)
    logits = {item.id: item.rerank.logit for item in ranking.documents if item.rerank}
    for hit in found.hits:
        assert hit.rerank is not None
        assert hit.rerank.logit == pytest.approx(logits[hit.id], abs=1e-4)


def test_filters_hold_in_both_legs(client: RerankClient) -> None:
    """Acme below 50.00: the bits and the cover, though the vector leg would find all."""
    filters = [Filter("brand", any_of=("Acme",)), Filter("price", below=5000.0)]
    found = client.search("shop", "drill", page_size=50, filters=filters)
    assert {hit.id for hit in found.hits} == {"d3", "s2"}


def test_facets_count_the_lexical_matches(client: RerankClient) -> None:
    """Of three drills two are Acme's."""
    found = client.search("shop", "drill", facets=["brand"])
    assert found.facets == {"brand": {"Acme": 2, "Zeta": 1}}


def test_pages_follow_one_another_without_gap_or_repeat(client: RerankClient) -> None:
    """Three pages of two are the one page of six; the last has no token."""
    whole = [hit.id for hit in client.search("shop", "sofa", page_size=50).hits]
    paged, token = [], ""
    for _ in range(3):
        page = client.search("shop", "sofa", page_token=token)
        paged += [hit.id for hit in page.hits]
        token = page.next_page_token
    assert paged == whole
    assert token == ""


@asynccontextmanager
async def _standing(
    shop: Shop, gate: Gate, page_size: int, budget_ms: float | None = None
) -> AsyncIterator[AsyncRerankClient]:
    """The server in this process, and a client over a real channel; scoring waits at the gate."""
    settings = Settings(
        port=0,
        default_budget_ms=30_000,
        safety_margin_ms=2000,  # of 15 s: client and server share this event loop
        cluster=shop.cluster,
        models=ModelSettings(reranker=str(shop.cross_encoder), encoders=(str(shop.bi_encoder),)),
        profiles={"shop": Profile(shop.alias, page_size=page_size, depth=50, budget_ms=budget_ms)},
    )
    live = Live(Standing.read(settings))
    with Engine(workers=1) as engine:
        ground, door, metrics = stand_on(live, engine), Door(), Metrics()
        reloader = Reloader(lambda: settings, ground, metrics)
        frame = Frame(live, door, metrics, NoTraces())
        async with open_services(ground, reloader) as services, AsyncExitStack() as stack:
            await reloader.start()
            models = ground.models.models
            [cross] = models.rerankers
            slow = replace(cross, model=gated(cross.model, "scored", [], gate))
            ground.models.put(replace(models, rerankers=(slow,)))
            health = Health(service.name for service in services)
            port = await stack.enter_async_context(listening(live, services, frame, door, health))
            await health.serve()
            client = AsyncRerankClient(f"127.0.0.1:{port}", timeout_s=60)
            yield await stack.enter_async_context(client)


async def test_pages_after_a_rerank_that_its_deadline_cut_agree(shop: Shop) -> None:
    """Two of six were scored in time; pages 2 and 3 go on in that order: none twice, none lost.

    When they are asked for the server would score all six, and order them otherwise.
    """
    gate = Gate()
    async with _standing(shop, gate, page_size=2) as client:
        gate.admit(2)
        try:
            first = await client.search("shop", "drill", timeout_s=15)
        finally:
            gate.open()
        whole = await client.search("shop", "drill", page_size=50)
        second = await client.search("shop", "drill", page_token=first.next_page_token)
        third = await client.search("shop", "drill", page_token=second.next_page_token)

    pages = (first, second, third)
    paged = [hit for page in pages for hit in page.hits]
    assert [(page.degraded, page.scored) for page in pages] == [(("DEADLINE",), 2)] * 3
    assert sorted(hit.id for hit in paged) == sorted(str(product["_id"]) for product in PRODUCTS)
    assert [hit.rank for hit in paged] == [1, 2, 3, 4, 5, 6]
    assert [hit.rerank is not None for hit in paged] == [True] * 2 + [False] * 4
    assert [hit.first_stage_rank for hit in paged[2:]] == [3, 4, 5, 6]
    assert third.next_page_token == ""
    assert (whole.degraded, whole.scored) == ((), 6)
    assert [hit.id for hit in whole.hits] != [hit.id for hit in paged]


@pytest.mark.parametrize(
    ("arguments", "field"),
    [
        ({"query": " "}, "query"),
        ({"query": "x" * 5000}, "query"),
        ({"page_size": -1}, "page_size"),
        ({"page_size": 51}, "page_size"),
        ({"page_token": "nonsense"}, "page_token"),
        ({"filters": [Filter("secret", any_of=("x",))]}, "filters[0].field"),
        ({"filters": [Filter("price", any_of=("1",))]}, "filters[0]"),
        ({"filters": [Filter("price", at_least=float("inf"))]}, "filters[0].range"),
        ({"filters": [Filter("brand")]}, "filters[0].range"),
        ({"facets": ["price"]}, "facets[0]"),
        ({"parameters": {"boost": "9"}}, "parameters['boost']"),
    ],
)
def test_bad_input_names_its_field(
    client: RerankClient, arguments: dict[str, object], field: str
) -> None:
    """INVALID_ARGUMENT with the path of what is wrong."""
    query = str(arguments.pop("query", "drill"))
    with pytest.raises(InvalidRequestError) as refused:
        client.search("shop", query, **arguments)  # type: ignore[arg-type]
    assert [violation.field for violation in refused.value.violations] == [field]


def test_a_token_is_for_its_query_alone(client: RerankClient) -> None:
    """A page of another query cannot be asked for with it."""
    token = client.search("shop", "sofa").next_page_token
    with pytest.raises(InvalidRequestError, match="another query"):
        client.search("shop", "drill", page_token=token)


def test_an_unknown_profile_is_not_found(client: RerankClient) -> None:
    """NOT_FOUND, with what there is."""
    with pytest.raises(NotFoundError, match="shop"):
        client.search("store", "drill")


HOSTILE = ['"}} ]', "{{query}} {{#toJson}}x{{/toJson}}", "a\nb\t\\u0000", "🛋️ sofa", "x " * 2000]


@pytest.mark.parametrize("query", HOSTILE)
def test_no_query_breaks_out_of_the_template(client: RerankClient, query: str) -> None:
    """Quotes, braces, control characters and length stay data; the vector leg finds all six."""
    found = client.search("shop", query, page_size=50)
    assert len(found.hits) == len(PRODUCTS)
    assert not found.degraded


def test_without_the_encoder_of_the_index_the_lexical_leg_answers(
    shop: Shop, tmp_path: Path
) -> None:
    """Vectors of two models are never compared: no vector leg, and the answer says so."""
    other = make_bi_encoder(tmp_path / "other", seed=9)
    with serving(shop, tmp_path / "sidecar", bi_encoder=other) as client:
        found = client.search("shop", "drill", page_size=50, explain=True)
        assert found.degraded == ("ENCODER_MISMATCH",)
        assert {hit.id for hit in found.hits} == {"d1", "d2", "d3"}
        assert found.embed_model is None
        with pytest.raises(PreconditionError, match="not loaded"):
            client.search("shop", "drill", strict=True)


def test_text_of_another_recipe_is_not_reranked(shop: Shop, tmp_path: Path) -> None:
    """Text that this cross-encoder was not made for: first-stage order, and the answer says so."""
    from rerank_core.artifact import seal_artifact  # noqa: PLC0415
    from rerank_core.text import ProductTextRecipe  # noqa: PLC0415

    other = make_cross_encoder(tmp_path / "other")
    seal_artifact(
        other, name="other", kind="cross-encoder", recipe=ProductTextRecipe(fields=("title",))
    )
    with serving(shop, tmp_path / "sidecar", cross_encoder=other) as client:
        found = client.search("shop", "drill", page_size=50)
        assert found.degraded == ("RECIPE_MISMATCH",)
        assert [hit.first_stage_rank for hit in found.hits] == list(range(1, 7))
        assert all(hit.rerank is None for hit in found.hits)
        assert found.scored == 0
        with pytest.raises(PreconditionError, match="rebuild the index"):
            client.search("shop", "drill", strict=True)


def test_a_swap_is_seen_and_a_deleted_index_never_served(shop: Shop, tmp_path: Path) -> None:
    """After a rebuild searches answer from the new index, even when the old one is gone at once."""
    alias = f"swapped-{uuid.uuid4().hex}"
    first = shop.build(alias)
    with serving(shop, tmp_path / "sidecar", alias=alias) as client:
        before = client.search("shop", "sofa")
        assert before.index == first
        second = shop.build(alias)
        client.search("shop", "sofa")  # whichever it was, it is remembered for a moment
        shop.delete(first)
        try:
            after = client.search("shop", "sofa")
            assert after.index == second
            assert not after.degraded
            with pytest.raises(InvalidRequestError, match="begin at the first page"):
                client.search("shop", "sofa", page_token=before.next_page_token)
        finally:
            shop.delete(second)
        with pytest.raises(PreconditionError, match=alias):
            client.search("shop", "sofa")


def test_a_cluster_that_is_down_is_unavailable(shop: Shop, tmp_path: Path) -> None:
    """Nothing listens there: UNAVAILABLE at once."""
    with (
        serving(shop, tmp_path / "sidecar", url="http://127.0.0.1:9") as client,
        pytest.raises(UnavailableError, match="cannot be reached"),
    ):
        client.search("shop", "drill")


def test_a_cluster_that_does_not_answer_ends_at_the_deadline(shop: Shop, tmp_path: Path) -> None:
    """It accepts and stays silent: DEADLINE_EXCEEDED, never a hang."""
    import socket  # noqa: PLC0415

    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        with (
            serving(shop, tmp_path / "sidecar", url=url) as client,
            pytest.raises(DeadlineExceededError),
        ):
            client.search("shop", "drill", timeout_s=1)


async def test_busy_workers_cost_the_vector_leg_and_not_the_search(shop: Shop) -> None:
    """The query's vector waits half of the time at most; the lexical leg has the rest."""
    gate = Gate()
    with Engine(workers=1) as engine:
        shelf = ModelShelf()
        settings = ModelSettings(reranker=str(shop.cross_encoder), encoders=(str(shop.bi_encoder),))
        models = load_models(settings, engine)
        shelf.put(models)
        log: list[str] = []
        busy = engine.submit(gated(models.rerankers[0].model, "busy", log, gate), "q", ["a"])
        eventually(lambda: "busy" in log)
        settings = Settings(cluster=shop.cluster, profiles={"shop": Profile(shop.alias)})
        live = Live(Standing.read(settings))
        client = connect_async(shop.cluster)
        try:
            scorer = Scorer(engine, Turnstile(1))
            funnel = Funnel(client, scorer, shelf, live, CursorSigner(b"key"))
            deadline = time.monotonic() + 6
            task = SearchTask("shop", "drill")
            found = await funnel.search(task, Caller("test"), deadline, Stages())
        finally:
            gate.open()
            busy.cancel()
            await client.close()
    assert {hit.arranged.id for hit in found.hits} == {"d1", "d2", "d3"}
    assert [reason.name for reason in found.degraded] == ["LEG_FAILED", "DEADLINE"]
    assert found.total == 3


def test_a_token_is_for_its_cross_encoder_alone(shop: Shop, tmp_path: Path) -> None:
    """Servers that share a key and serve two models: page 2 of another order is refused."""
    other = make_cross_encoder(tmp_path / "other" / "cross", seed=9)
    with serving(shop, tmp_path / "one", key="shared") as client:
        token = client.search("shop", "drill").next_page_token
        assert client.search("shop", "drill", page_token=token).hits
    with (
        serving(shop, tmp_path / "two", key="shared", cross_encoder=other) as client,
        pytest.raises(InvalidRequestError, match="for another query, profile or cross-encoder"),
    ):
        client.search("shop", "drill", page_token=token)


def test_what_a_search_did_is_counted_once(shop: Shop, tmp_path: Path) -> None:
    """Six scored, six remembered, then a page that scores none; in the log and in the metrics."""
    extra = f'[http]\nport = 0\nport_file = "{tmp_path}/http-port"\n'
    with serving(shop, tmp_path, extra=extra) as client:
        client.search("shop", "drill")
        token = client.search("shop", "drill").next_page_token
        assert client.search("shop", "drill", page_token=token).scored == 6
        with pytest.raises(InvalidRequestError, match="zebra"):
            client.search("shop", "drill", facets=["zebra"])
        port = (tmp_path / "http-port").read_text().strip()
        page = httpx.get(f"http://127.0.0.1:{port}/metrics").text
    log = (tmp_path / "log").read_text()  # whole, now that the server is gone
    told = [json.loads(line) for line in log.splitlines() if line.startswith("{")]
    lines = [line for line in told if line.get("rpc") == "Search"]
    did = [tuple(line.get(word) for word in ("documents", "scored", "cached")) for line in lines]
    assert did == [(6, 6, 0), (6, 6, 6), (0, 0, 0), (None, None, None)]
    assert lines[0]["tokens"] > 0
    for outcome, count in (("computed", 6), ("cached", 6), ("unscored", 0)):
        assert f'rerank_documents_total{{outcome="{outcome}"}} {count}.0' in page
    assert f"rerank_tokens_total {lines[0]['tokens']}.0" in page
    # An error's message quotes what the caller sent; the log has the field alone.
    assert lines[3]["error"] == "InputError at facets[0]"
    assert "zebra" not in log


def test_a_key_of_some_profiles_learns_of_no_other(
    shop: Shop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another is PERMISSION_DENIED, be it there or not; where its own is gone, none is named."""
    key, lines = new_key("partner")
    keys = tmp_path / "keys.toml"
    keys.write_text(lines + 'profiles = ["partner", "coming"]\n')
    monkeypatch.setenv("RERANK_KEYS_FILE", str(keys))
    extra = PROFILE.format(name="partner", alias=shop.alias)
    with (
        serving(shop, tmp_path, extra=extra),
        RerankClient(
            f"127.0.0.1:{(tmp_path / 'port').read_text().strip()}", timeout_s=10, api_key=key
        ) as client,
    ):
        assert client.search("partner", "drill").hits
        for other in ("shop", "nowhere"):
            with pytest.raises(AccessError, match=f"may not search profile '{other}'"):
                client.search(other, "drill")
        with pytest.raises(NotFoundError, match=r"'coming'; there is: partner$"):
            client.search("coming", "drill")


async def test_a_profiles_budget_bounds_a_search(shop: Shop) -> None:
    """Nothing can be scored and the caller would wait ten minutes: the answer comes before."""
    gate = Gate()
    async with _standing(shop, gate, page_size=50, budget_ms=5000) as client:
        try:
            found = await client.search("shop", "drill", timeout_s=600)
        finally:
            gate.open()
    assert (found.degraded, found.scored, len(found.hits)) == (("DEADLINE",), 0, 6)


def test_a_swap_of_models_is_seen_by_whole_searches_alone(shop: Shop, tmp_path: Path) -> None:
    """While models are swapped to and fro: no error, none degraded, all scores of the named one."""
    other = make_cross_encoder(tmp_path / "other" / "cross", seed=9)
    config, folders = tmp_path / "sidecar.toml", (str(shop.cross_encoder), str(other))
    expected: dict[str, dict[str, float]] = {}
    answers: list[SearchResult] = []

    def logits(found: SearchResult) -> dict[str, float]:
        return {hit.id: hit.rerank.logit for hit in found.hits if hit.rerank}

    with serving(shop, tmp_path) as client:

        def ask() -> SearchResult:
            found = client.search("shop", "drill", page_size=50)
            answers.append(found)
            return found

        target = f"127.0.0.1:{(tmp_path / 'port').read_text().strip()}"
        with grpc.insecure_channel(target) as channel, ThreadPoolExecutor(2) as callers:
            admin = AdminServiceStub(channel)
            for swap in range(4):
                asked = [callers.submit(ask) for _ in range(20)]
                old, new = folders[swap % 2], folders[(swap + 1) % 2]
                config.write_text(config.read_text().replace(old, new))
                assert list(admin.Reload(ReloadRequest()).changed) == ["models"]
                for each in asked:
                    each.result()
                found = ask()
                assert found.rerank_model is not None
                expected.setdefault(found.rerank_model.hash, logits(found))
    assert len(expected) == 2
    assert len(answers) == 84
    for found in answers:
        assert found.degraded == ()
        assert found.rerank_model is not None
        assert logits(found) == expected[found.rerank_model.hash]
        assert len(logits(found)) == len(PRODUCTS)


def _config(shop: Shop, folder: Path, models: str, profiles: str) -> None:
    """The settings of a server whose profiles and models change."""
    (folder / "sidecar.toml").write_text(
        f'page_token_key = "key"\n[models]\nencoders = ["{shop.bi_encoder}"]\n{models}\n'
        f'[cluster]\nurl = "{shop.cluster.url}"\n{profiles}'
    )


def test_each_profile_has_a_cross_encoder_of_its_own(shop: Shop, tmp_path: Path) -> None:
    """Two in one server: each profile's scores are those of the one it names, through a swap."""
    wide = [make_cross_encoder(tmp_path / f"v{seed}" / "wide", seed=seed) for seed in (8, 9)]
    profiles = PROFILE.format(name="shop", alias=shop.alias) + (
        f'[profiles.wide]\nalias = "{shop.alias}"\nreranker = "wide"\n'
    )
    documents = [
        Document(str(p["_id"]), fields={"title": str(p["title"]), "brand": str(p["brand"])})
        for p in PRODUCTS
    ]

    def choose(other: Path) -> None:
        models = f'reranker = "{shop.cross_encoder}"\nother_rerankers = ["{other}"]'
        _config(shop, tmp_path, models, profiles)

    def served(client: RerankClient) -> list[str]:
        """The hash that each profile's answer names, once its scores were held against Rerank."""
        hashes = []
        for profile, name in (("shop", ""), ("wide", "wide")):
            found = client.search(profile, "drill", page_size=50)
            ranking = client.rerank("drill", documents, model=name)
            assert (found.degraded, found.scored) == ((), 6)
            assert found.rerank_model is not None
            assert found.rerank_model == ranking.model
            assert found.rerank_model.id == (name or shop.cross_encoder.name)
            logits = {item.id: item.rerank.logit for item in ranking.documents if item.rerank}
            for hit in found.hits:
                assert hit.rerank is not None
                assert hit.rerank.logit == pytest.approx(logits[hit.id], abs=1e-4)
            hashes.append(found.rerank_model.hash)
        return hashes

    choose(wide[0])
    with (
        running(tmp_path / "run", "--config", tmp_path / "sidecar.toml") as sidecar,
        RerankClient(sidecar.target, timeout_s=10) as client,
    ):
        first = served(client)
        token = client.search("wide", "drill", page_size=2).next_page_token
        choose(wide[1])
        sidecar.process.send_signal(signal.SIGHUP)
        assert sidecar.wait_logged("reloaded")[0]["changed"] == ["models"]
        second = served(client)
        # The first page was another model's.
        with pytest.raises(InvalidRequestError, match="for another query, profile or cross-enc"):
            client.search("wide", "drill", page_size=2, page_token=token)
    assert len({*first, *second}) == 3
    assert first[0] == second[0]


def test_a_search_outlives_the_rollback_of_its_cross_encoder(shop: Shop, tmp_path: Path) -> None:
    """The profile still names it: the first stage's order and the reason; strict is an error."""
    wide = make_cross_encoder(tmp_path / "wide", seed=8)
    profiles = PROFILE.format(name="shop", alias=shop.alias)
    _config(shop, tmp_path, f'reranker = "{shop.cross_encoder}"', profiles)
    with (
        running(tmp_path / "run", "--config", tmp_path / "sidecar.toml") as sidecar,
        grpc.insecure_channel(sidecar.target) as channel,
        RerankClient(sidecar.target, timeout_s=10) as client,
    ):
        admin = AdminServiceStub(channel)
        models = f'reranker = "{shop.cross_encoder}"\nother_rerankers = ["{wide}"]'
        more = f'[profiles.wide]\nalias = "{shop.alias}"\nreranker = "wide"\n'
        _config(shop, tmp_path, models, profiles + more)
        admin.Reload(ReloadRequest(), timeout=10)
        assert client.search("wide", "drill").degraded == ()
        admin.Rollback(RollbackRequest(), timeout=10)

        found = client.search("wide", "drill")
        assert (found.degraded, found.scored) == (("MODEL_NOT_READY",), 0)
        ranks = [hit.first_stage_rank for hit in found.hits]
        assert ranks == sorted(ranks) != []
        with pytest.raises(UnavailableError, match="'wide', which was rolled back; served are"):
            client.search("wide", "drill", strict=True)
        assert client.search("shop", "drill").degraded == ()


def test_profiles_change_while_serving(shop: Shop, tmp_path: Path) -> None:
    """SIGHUP: a changed profile, a new one and one that is gone; a broken one is refused whole."""
    models = f'reranker = "{shop.cross_encoder}"'
    shops = PROFILE.format(name="shop", alias=shop.alias)
    more = PROFILE.format(name="more", alias=shop.alias)

    def choose(sidecar: Sidecar, profiles: str, event: str) -> dict[str, object]:
        seen = len(sidecar.logged(event))
        _config(shop, tmp_path, models, profiles)
        sidecar.process.send_signal(signal.SIGHUP)
        line: dict[str, object] = sidecar.wait_logged(event, count=seen + 1)[-1]
        return line

    _config(shop, tmp_path, models, shops)
    with (
        running(tmp_path / "run", "--config", tmp_path / "sidecar.toml", http=True) as sidecar,
        RerankClient(sidecar.target, timeout_s=10) as client,
    ):
        first = client.search("shop", "drill")
        assert len(first.hits) == 2
        larger = shops.replace("page_size = 2", "page_size = 3") + more
        assert choose(sidecar, larger, "reloaded")["changed"] == ["profiles"]
        assert len(client.search("shop", "drill").hits) == 3
        assert len(client.search("more", "drill").hits) == 2
        # A page of the profile as it was.
        with pytest.raises(InvalidRequestError, match="for another query, profile"):
            client.search("shop", "drill", page_token=first.next_page_token)

        for old, new, reason in (
            ("depth = 50", "depth = 0", "depth must be 1 to 1000, it is 0"),
            ("depth = 50", "dept = 50", "profiles.shop.dept"),
            ("depth = 50", 'reranker = "absent"', "reranker is 'absent', cross-encoders that"),
            ("[profiles", "[profile", "profile"),
        ):
            refused = choose(sidecar, larger.replace(old, new), "reload refused")
            assert reason in str(refused["error"])
            assert len(client.search("shop", "drill").hits) == 3
        page = httpx.get(f"{sidecar.url}/metrics").text
        assert 'rerank_reloads_total{outcome="refused"} 4.0' in page

        assert choose(sidecar, more, "reloaded")["changed"] == ["profiles"]
        with pytest.raises(NotFoundError, match=r"'shop'; there is: more$"):
            client.search("shop", "drill")
        assert len(client.search("more", "drill").hits) == 2
