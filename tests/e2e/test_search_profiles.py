"""Profiles end to end on a real OpenSearch and a real Elasticsearch: legs, rules, pages, faults."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from rerank_client import (
    DeadlineExceededError,
    Filter,
    InvalidRequestError,
    PreconditionError,
    RerankClient,
    UnavailableError,
)
from rerank_core.cluster.connection import connect
from rerank_core.cluster.release import resolve_alias
from rerank_core.cluster.settings import ClusterSettings
from rerank_core.cluster.templates.folder import SHIPPED
from tests.e2e.test_search import PRODUCTS, Shop, serving
from tests.fault_proxy import Fault, FaultProxy, Request
from tests.gated_path import eventually
from tests.tiny_models import make_bi_encoder, make_cross_encoder

RULED = """
[profiles.ruled]
alias = "{alias}"
page_size = 2
depth = 50
rerank_depth = 4
blend = 0.5
fusion = "minmax"
collapse = "brand"
templates = {{ lexical = "lexical-boosted" }}
parameters = {{ phrase_boost = 3.5 }}
caller_parameters = ["minimum_should_match", "phrase_slop"]
filters.brand = {{ field = "brand.keyword" }}
filters.size = {{ field = "size_cm", kind = "range" }}
[[profiles.ruled.rules]]
queries = ["Cordless  DRILL"]
pinned = ["l1"]
buried = ["d1"]

[profiles.lexical]
alias = "{alias}"
legs = {{ lexical = 1.0 }}
filters.brand = {{ field = "brand.keyword" }}

[profiles.pinning]
alias = "{alias}"
legs = {{ lexical = 1.0 }}
rules = [{{ pinned = ["l1"] }}]
budget_ms = 8000

[profiles.strange]
alias = "{alias}"
parameters = {{ no_such = 1 }}

[profiles.misnamed]
alias = "{alias}"
templates = {{ lexical = "lexical-boosted" }}
parameters = {{ fields = ["titel^3", "title"], phrase_boost = 2 }}

[profiles.mistyped]
alias = "{alias}"
filters.title = {{ field = "title" }}
filters.brand = {{ field = "brand" }}
filters.maker = {{ field = "brand.keyword", kind = "range" }}
filters.stock = {{ field = "in_stock" }}
filters.cents = {{ field = "price_cents" }}
facets.brand = {{ field = "brand" }}

[profiles.absent]
alias = "{alias}"
templates = {{ lexical = "no-such" }}
"""


@pytest.fixture(
    scope="module", params=["cluster", "elasticsearch"], ids=["opensearch", "elasticsearch"]
)
def engine(request: pytest.FixtureRequest) -> ClusterSettings:
    """Both engines, the second started only when its turn comes."""
    settings: ClusterSettings = request.getfixturevalue(request.param)
    return settings


@pytest.fixture(scope="module")
def shop(engine: ClusterSettings, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    folder = tmp_path_factory.mktemp("shop")
    shop = Shop(
        engine,
        f"profiles-{uuid.uuid4().hex}",
        make_cross_encoder(folder / "cross"),
        make_bi_encoder(folder / "bi"),
        folder,
    )
    index = shop.build(shop.alias)
    yield shop
    shop.delete(index)


@pytest.fixture(scope="module")
def client(shop: Shop, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RerankClient]:
    extra = RULED.format(alias=shop.alias)
    with serving(shop, tmp_path_factory.mktemp("one"), key="shared", extra=extra) as client:
        yield client


def templates_command(shop: Shop) -> Callable[..., subprocess.CompletedProcess[str]]:
    """``python -m index_builder templates`` with its arguments, on the shop's cluster."""
    environ = {**os.environ, "OPENSEARCH_URL": shop.cluster.url}

    def command(*arguments: str) -> subprocess.CompletedProcess[str]:
        line = [sys.executable, "-m", "index_builder", "templates", *arguments]
        return subprocess.run(line, env=environ, capture_output=True, text=True, check=False)

    return command


def test_both_engines_answer_and_say_how(client: RerankClient, shop: Shop) -> None:
    """Stored templates where the cluster renders them, else rendered by the server; one answer."""
    found = client.search("shop", "cordless drill", page_size=50, explain=True)

    assert {hit.id for hit in found.hits} == {product["_id"] for product in PRODUCTS}
    assert not found.degraded
    assert found.plan is not None
    with connect(shop.cluster) as connection:
        engine = resolve_alias(connection, shop.alias)[1].engine.split()[0]
    assert found.plan.templates == {"opensearch": "stored", "elasticsearch": "rendered"}[engine]
    assert found.plan.fusion.startswith(f"own rrf: {engine}")
    assert [leg.template_id.split("@")[0] for leg in found.plan.legs] == ["lexical", "vector"]


def test_filters_and_facets_hold_on_both_engines(client: RerankClient) -> None:
    """Acme below 50.00 are the bits and the cover; of three drills two are Acme's."""
    filters = [Filter("brand", any_of=("Acme",)), Filter("price", below=5000.0)]
    found = client.search("shop", "drill", page_size=50, filters=filters)
    assert {hit.id for hit in found.hits} == {"d3", "s2"}
    first = client.search("shop", "drill", facets=["brand"])
    assert first.facets == {"brand": {"Acme": 2, "Zeta": 1}}
    second = client.search("shop", "drill", facets=["brand"], page_token=first.next_page_token)
    assert second.facets == first.facets
    assert second.total == first.total == 3


@pytest.mark.parametrize("query", ['"}} ]', "{{query}} {{#toJson}}x{{/toJson}}", "\x00\\u0000🛋️"])
def test_no_query_breaks_out_in_either_mode(client: RerankClient, query: str) -> None:
    """It stays data: the vector leg finds all six, the lexical one does not fail."""
    found = client.search("shop", query, page_size=50)
    assert len(found.hits) == len(PRODUCTS)
    assert not found.degraded


def test_explain_tells_each_stage_of_a_ruled_profile(client: RerankClient) -> None:
    """Pinned first though no leg ranked it there; two brands remain, each by its best."""
    found = client.search("ruled", " cordless drill", page_size=50, explain=True)

    assert found.scored == 4
    assert found.plan is not None
    assert '"blend": 0.5' in found.plan.profile_json
    assert found.plan.fusion == "own minmax: " + found.plan.fusion.partition(": ")[2]
    assert found.plan.legs[0].template_id.startswith("lexical-boosted@")
    assert [hit.id for hit in found.hits][:1] == ["l1"]
    assert len(found.hits) == 2
    lamp, other = (hit.explanation for hit in found.hits)
    assert lamp is not None
    assert other is not None
    stages = [at.stage for at in lamp.places]
    assert stages == ["fuse", "rerank", "blend", "bury", "pin", "collapse"]
    assert "pinned by rules[0]" in lamp.rules
    assert "stands for 2 more of its brand" in lamp.rules
    assert found.hits[1].fields["brand"] == ("Acme",)
    assert {leg.leg for leg in lamp.legs} <= {"lexical", "vector"}
    # The last stage after which it stood elsewhere than before.
    ranks = [at.rank for at in lamp.places]
    moves = [
        stage
        for stage, *pair in zip(stages[1:], ranks, ranks[1:], strict=False)
        if len(set(pair)) > 1
    ]
    assert lamp.placed_by == ([*moves] or ["fuse"])[-1]


def test_the_filter_of_an_alias_holds_in_all_that_a_search_asks(shop: Shop, tmp_path: Path) -> None:
    """No leg, page, count, fallback or pin leaves Acme's part of the shop; routing is refused.

    Zeta's lamp is pinned, and Zeta's drill is the nearest to the misspelt words.
    """
    alias = f"acme-{uuid.uuid4().hex}"
    acme = {"d1", "d3", "s2"}
    extra = RULED.format(alias=alias)
    with connect(shop.cluster) as connection:
        index = resolve_alias(connection, shop.alias)[0]
        body = {"filter": {"term": {"brand.keyword": "Acme"}}}
        connection.indices.put_alias(index=index, name=alias, body=body)
        with serving(shop, tmp_path / "run", alias=alias, extra=extra) as client:
            first = client.search("shop", "drill", facets=["brand"])
            second = client.search(
                "shop", "drill", facets=["brand"], page_token=first.next_page_token
            )
            assert {hit.id for hit in (*first.hits, *second.hits)} == acme
            assert first.facets == second.facets == {"brand": {"Acme": 2}}
            assert first.total == 2
            pinned = client.search("ruled", "cordless drill", page_size=50)
            assert {hit.id for hit in pinned.hits} <= acme
            misspelt = client.search("lexical", "cordlss hamer")
            assert (misspelt.fallback, [hit.id for hit in misspelt.hits]) == (
                "zero-results",
                ["d1"],
            )

        connection.indices.put_alias(index=index, name=alias, body={"routing": "1"})
        with (
            serving(shop, tmp_path / "routed", alias=alias) as client,
            pytest.raises(PreconditionError, match=f"{alias}.* has search_routing '1'"),
        ):
            client.search("shop", "drill")
        connection.indices.delete_alias(index=index, name=alias)


def test_a_rule_is_for_its_queries_alone(client: RerankClient) -> None:
    """Another query pins nothing."""
    found = client.search("ruled", "drill", page_size=50, explain=True)
    assert all(
        "pinned" not in rule
        for hit in found.hits
        for rule in (hit.explanation.rules if hit.explanation else ())
    )


def test_a_pinned_product_passes_the_filters_or_does_not_stand(client: RerankClient) -> None:
    """The lamp is Zeta's."""
    acme = client.search("ruled", "cordless drill", filters=[Filter("brand", any_of=("Acme",))])
    assert all(hit.id != "l1" for hit in acme.hits)
    zeta = client.search("ruled", "cordless drill", filters=[Filter("brand", any_of=("Zeta",))])
    assert zeta.hits[0].id == "l1"


@pytest.mark.parametrize(
    ("fault", "degraded", "error"),
    [
        (Fault(status=429), {"LEG_FAILED"}, UnavailableError),
        (Fault(delay_s=600), {"LEG_FAILED", "DEADLINE"}, DeadlineExceededError),
    ],
    ids=["refused", "silent"],
)
def test_a_pin_that_fails_costs_the_pin_alone(
    shop: Shop, tmp_path: Path, fault: Fault, degraded: set[str], error: type[Exception]
) -> None:
    """The lexical leg answered: its drills stand, the answer says what failed; strict raises it."""

    def choose(request: Request, _: int) -> Fault | None:
        return fault if b'{"ids"' in request.body else None

    with (
        FaultProxy(shop.cluster.url, choose).running() as proxy,
        serving(
            shop, tmp_path / "run", url=proxy.url, extra=RULED.format(alias=shop.alias)
        ) as client,
    ):
        found = client.search("pinning", "drill", timeout_s=60)
        assert {hit.id for hit in found.hits} == {"d1", "d2", "d3"}
        assert set(found.degraded) == degraded
        with pytest.raises(error):
            client.search("pinning", "drill", timeout_s=60, strict=True)


def test_pages_agree_across_servers(client: RerankClient, shop: Shop, tmp_path: Path) -> None:
    """Page 2, from another server, goes on where page 1 was, and so does page 3.

    The first server's order is in the token, so that no product stands on two pages.
    """
    whole = client.search("shop", "sofa", page_size=50, explain=True)
    first = client.search("shop", "sofa", explain=True)
    with serving(shop, tmp_path / "two", key="shared", extra=RULED.format(alias=shop.alias)) as two:
        second = two.search("shop", "sofa", page_token=first.next_page_token, explain=True)
        third = client.search("shop", "sofa", page_token=second.next_page_token, explain=True)
    paged = [*first.hits, *second.hits, *third.hits]
    assert [hit.id for hit in paged] == [hit.id for hit in whole.hits]
    assert [hit.rank for hit in paged] == list(range(1, 7))
    assert [hit.rerank for hit in paged] == [hit.rerank for hit in whole.hits]
    assert [hit.explanation for hit in paged] == [hit.explanation for hit in whole.hits]
    assert third.next_page_token == ""
    assert first.rerank_model is not None
    assert second.rerank_model == third.rerank_model == first.rerank_model


def test_counts_of_a_further_page_that_fail_are_said(shop: Shop, tmp_path: Path) -> None:
    """Page 1 was not asked for them, and the page's products stand; strict raises it."""

    def choose(request: Request, _: int) -> Fault | None:
        return Fault(status=503) if b'"size": 0' in request.body else None

    with (
        FaultProxy(shop.cluster.url, choose).running() as proxy,
        serving(shop, tmp_path / "run", url=proxy.url) as client,
    ):
        first = client.search("shop", "drill")
        token = first.next_page_token
        second = client.search("shop", "drill", facets=["brand"], page_token=token)
        assert (len(second.hits), second.facets, second.degraded) == (
            2,
            {"brand": {}},
            ("LEG_FAILED",),
        )
        with pytest.raises(UnavailableError):
            client.search("shop", "drill", facets=["brand"], page_token=token, strict=True)
        assert client.search("shop", "drill", page_token=token).degraded == ()


def test_a_server_whose_page_tokens_are_its_own_says_so(shop: Shop, tmp_path: Path) -> None:
    """Once, in its log; one with a key does not."""
    for key in ("", "shared"):
        folder = tmp_path / (key or "none")
        with serving(shop, folder, key=key):
            warned = (folder / "log").read_text().count("page tokens are of this process alone")
        assert warned == (not key)


def test_nothing_found_falls_back_and_says_so(client: RerankClient) -> None:
    """A misspelt query finds by letters that are near; filters still hold."""
    found = client.search("lexical", "cordlss hamer", explain=True)
    assert found.fallback == "zero-results"
    assert {hit.id for hit in found.hits} == {"d1", "d2"}
    acme = client.search("lexical", "cordlss hamer", filters=[Filter("brand", any_of=("Acme",))])
    assert {hit.id for hit in acme.hits} == {"d1"}
    assert client.search("lexical", "drill").fallback == ""


def test_a_misspelt_word_is_compared_as_it_is_written(client: RerankClient) -> None:
    """A stemmer makes cordl of it, three letters from cordless; on either engine it is found."""
    found = client.search("lexical", "cordles", page_size=50)
    assert found.fallback == "zero-results"
    assert "d1" in {hit.id for hit in found.hits}


def test_a_fallback_that_fails_leaves_the_empty_page(shop: Shop, tmp_path: Path) -> None:
    """What the legs said stands, and the answer says that something failed; strict raises it."""
    asked = 0

    def choose(request: Request, _: int) -> Fault | None:
        nonlocal asked
        if b"max_expansions" not in request.body and b'"zero-results@' not in request.body:
            return None
        asked += 1
        return Fault(status=503)

    with (
        FaultProxy(shop.cluster.url, choose).running() as proxy,
        serving(
            shop, tmp_path / "run", url=proxy.url, extra=RULED.format(alias=shop.alias)
        ) as client,
    ):
        found = client.search("lexical", "cordles")
        assert (found.hits, found.degraded, found.fallback) == ((), ("LEG_FAILED",), "")
        assert asked == 1
        with pytest.raises(UnavailableError):
            client.search("lexical", "cordles", strict=True)


def test_callers_give_the_parameters_that_a_profile_lets_them(client: RerankClient) -> None:
    """All words must match: one product; a number that is none, and a name that is not allowed."""
    wide = client.search("ruled", "cordless drill", explain=True)
    narrow = client.search(
        "ruled", "cordless drill", parameters={"minimum_should_match": "100%"}, explain=True
    )
    assert (wide.total, narrow.total) == (3, 1)
    for name, value in (("phrase_slop", "two"), ("phrase_boost", "2"), ("no_such", "x")):
        with pytest.raises(InvalidRequestError) as refused:
            client.search("ruled", "drill", parameters={name: value})
        assert [fault.field for fault in refused.value.violations] == [f"parameters['{name}']"]


@pytest.mark.parametrize(
    ("profile", "filters", "fault"),
    [
        ("ruled", [Filter("size", below=9.0)], "no field size_cm, which filter size of profile"),
        (
            "mistyped",
            [Filter("title", any_of=("Desk lamp",))],
            "by title, .*with type keyword",
        ),
        (
            "mistyped",
            [Filter("brand", any_of=("Acme",))],
            "of type text; .*name brand.keyword",
        ),
        ("mistyped", [Filter("maker", below=9.0)], "of type keyword; a range needs a number"),
        ("strange", [], "parameters.no_such is read by none of its templates"),
        (
            "misnamed",
            [],
            "no field titel, which template .* reads by parameter fields of profile misnamed; name",
        ),
        ("absent", [], "names no template no-such for leg lexical; push it with"),
    ],
)
def test_what_the_index_cannot_do_is_said_and_never_an_empty_page(
    client: RerankClient, profile: str, filters: list[Filter], fault: str
) -> None:
    """FAILED_PRECONDITION, naming the thing and the mend."""
    with pytest.raises(PreconditionError, match=fault):
        client.search(profile, "drill", filters=filters)


def test_a_facet_of_text_is_said(client: RerankClient) -> None:
    """The cluster would refuse the whole lexical leg."""
    with pytest.raises(PreconditionError, match=r"facet brand by brand, .*name brand\.keyword"):
        client.search("mistyped", "drill", facets=["brand"])


@pytest.mark.parametrize(
    ("name", "value", "good"), [("stock", "yes", "true"), ("cents", "cheap", "1900")]
)
def test_a_value_that_its_field_cannot_hold_is_the_callers_fault(
    client: RerankClient, name: str, value: str, good: str
) -> None:
    """INVALID_ARGUMENT by its place; a value that the field can hold goes through."""
    filters = [Filter("cents", any_of=("2500", "2.5e3")), Filter(name, any_of=(good, value))]
    with pytest.raises(InvalidRequestError) as refused:
        client.search("mistyped", "drill", filters=filters)
    assert [fault.field for fault in refused.value.violations] == ["filters[1]"]
    found = client.search("mistyped", "drill", filters=[Filter("cents", any_of=("1900",))])
    assert [hit.id for hit in found.hits] == ["d3"]
    assert client.search("mistyped", "lamp", filters=[Filter("stock", any_of=("true",))]).hits == ()


# Elasticsearch 9.2.0 as it runs here keeps no templates, so none can be lost there.
@pytest.mark.parametrize("engine", ["cluster"], ids=["opensearch"], indirect=True, scope="module")
def test_the_command_that_an_error_prints_brings_a_template_back(
    shop: Shop, client: RerankClient
) -> None:
    """A template that somebody deleted under a live server."""
    with connect(shop.cluster) as connection:
        release = resolve_alias(connection, shop.alias)[1]
        connection.delete_script(id=release.templates["lexical"])
    with pytest.raises(PreconditionError, match="is not on the cluster") as lost:
        client.search("shop", "drill")
    command = str(lost.value).partition("python -m ")[2].partition(",")[0].split()
    subprocess.run(
        [sys.executable, "-m", *command],
        env={**os.environ, "OPENSEARCH_URL": shop.cluster.url},
        check=True,
        capture_output=True,
    )
    assert client.search("shop", "drill").hits


def test_a_default_alone_is_pushed_and_taken_back(
    client: RerankClient, shop: Shop, tmp_path: Path
) -> None:
    """The source stays: ids, searches and `diff` follow the schema's default, there and back.

    Any word finds three products, all words one. A second push of the same takes no way back.
    """
    command = templates_command(shop)
    folder = tmp_path / "templates"
    folder.mkdir()
    for name in ("lexical-boosted.mustache", "lexical-boosted.json"):
        (folder / name).write_text((SHIPPED / name).read_text())
    schema = json.loads((folder / "lexical-boosted.json").read_text())
    schema["properties"]["minimum_should_match"]["default"] = "100%"
    (folder / "lexical-boosted.json").write_text(json.dumps(schema))
    where = ("--alias", shop.alias, "--folder", str(folder))
    assert command("test", *where[2:], "--update").returncode == 0

    differing = command("diff", *where)
    assert differing.returncode == 5
    assert '-      "default": "1",' in differing.stdout
    assert '+      "default": "100%",' in differing.stdout
    for _ in range(2):
        pushed = command("push", *where)
        assert pushed.returncode == 0, pushed.stderr
    assert command("diff", *where).returncode == 0
    eventually(lambda: client.search("ruled", "cordless drill").total == 1)
    assert command("rollback", "--alias", shop.alias).returncode == 0
    assert command("diff", *where).returncode == 5
    eventually(lambda: client.search("ruled", "cordless drill").total == 3)


def test_push_and_rollback_move_a_live_index(
    client: RerankClient, shop: Shop, tmp_path: Path
) -> None:
    """A changed template is pushed without a rebuild; searches use it within a second; and back."""
    command = templates_command(shop)
    folder = tmp_path / "templates"
    folder.mkdir()
    for name in ("lexical.mustache", "lexical.json"):
        (folder / name).write_text((SHIPPED / name).read_text())
    source = (folder / "lexical.mustache").read_text()
    (folder / "lexical.mustache").write_text(source.replace('"boost": 2', '"boost": 3'))
    alias, with_folder = ("--alias", shop.alias), ("--folder", str(folder))

    missing = command("push", *alias, *with_folder)
    assert missing.returncode == 2
    assert "golden/lexical.json is not there" in missing.stderr
    assert command("test", *with_folder, "--update").returncode == 0, "golden files are written"
    differing = command("diff", *alias, *with_folder)
    assert differing.returncode == 5
    assert '+          "boost": 3' in differing.stdout
    pushed = command("push", *alias, *with_folder)
    assert pushed.returncode == 0, pushed.stderr
    with connect(shop.cluster) as connection:
        moved = resolve_alias(connection, shop.alias)[1]
    assert f"lexical {moved.templates_before['lexical']} -> {moved.templates['lexical']}" in (
        pushed.stdout
    )
    assert command("diff", *alias, *with_folder).returncode == 0
    assert command("test", *alias, *with_folder).returncode == 0
    assert command("rollback", *alias).returncode == 0
    with connect(shop.cluster) as connection:
        back = resolve_alias(connection, shop.alias)[1]
    assert back.templates["lexical"] == moved.templates_before["lexical"]
    assert client.search("shop", "drill").hits
