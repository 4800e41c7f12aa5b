"""Loads through a proxy that breaks things: nothing lost, nothing twice, the alias always there."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from index_builder.sending import SendLimits
from rerank_core.errors import ClusterUnavailable, InputError
from tests.fault_proxy import Fault, FaultProxy, Request
from tests.index_builds import QUICK, MakeShop, Shop, products

COUNT = 600
Choose = Callable[[Request, int], Fault | None]


def some_bulk(fault: Fault, every: int = 3) -> Choose:
    """The first bulk request, and every so many further ones."""
    return lambda request, number: fault if request.is_bulk and number % every == 0 else None


def load(shop: Shop, choose: Choose, **changes: Any) -> tuple[FaultProxy, dict[str, Any]]:
    """The index that a build through a proxy with these faults makes."""
    with FaultProxy(shop.settings.url, choose).running() as proxy:
        report = shop.build(replace(shop.settings, url=proxy.url), **changes)
    assert report.swapped
    return proxy, shop.contents()


@pytest.mark.parametrize(
    "choose",
    [
        pytest.param(some_bulk(Fault(status=429)), id="whole request 429"),
        pytest.param(some_bulk(Fault(status=502)), id="502"),
        pytest.param(some_bulk(Fault(status=503)), id="503"),
        pytest.param(some_bulk(Fault(status=504)), id="504"),
        pytest.param(some_bulk(Fault(cut_request=True)), id="reset before"),
        pytest.param(some_bulk(Fault(cut_answer=True)), id="reset in the answer"),
        pytest.param(
            lambda request, _: Fault(busy_share=0.3) if request.is_bulk else None,
            id="30 % of items 429",
        ),
    ],
)
def test_what_passes_is_asked_for_again(make_shop: MakeShop, choose: Choose) -> None:
    """The index is that of an undisturbed load, document for document; nothing is rejected."""
    shop = make_shop(products(COUNT))
    shop.build()
    undisturbed = shop.contents()

    proxy, found = load(shop, choose)

    assert len(undisturbed) == COUNT
    assert found == undisturbed
    assert proxy.faults > 0
    assert not shop.plan.rejects.exists()


def test_late_answers_lose_nothing(make_shop: MakeShop) -> None:
    """Five seconds late is slow, and one that is later than the timeout is sent again."""
    shop = make_shop(products(300))
    late = {0: 5.0, 1: 30.0}

    def choose(request: Request, number: int) -> Fault | None:
        return Fault(delay_s=late.pop(number)) if request.is_bulk and number in late else None

    limits = replace(QUICK, timeout_s=8.0, slow_s=1.0)
    proxy, found = load(shop, choose, limits=limits)

    assert len(found) == 300
    assert len(proxy.requests) == 4  # three, and the one that was too late


def test_413_halves_requests_until_they_fit(make_shop: MakeShop) -> None:
    """A proxy before the cluster takes 20 kB: no document is lost, one over it is a reject."""
    rows = products(200)
    rows[7]["text"] = "word " * 10_000
    shop = make_shop(rows)
    most = 20_000

    def choose(request: Request, _: int) -> Fault | None:
        return Fault(status=413) if request.is_bulk and len(request.body) > most else None

    proxy, found = load(shop, choose)

    assert len(found) == 199
    [reject] = map(json.loads, shop.plan.rejects.read_text().splitlines())
    assert (reject["id"], reject["line"], reject["error"]) == ("p7", 8, {"status": 413})
    refused = sum(len(request.body) > most for request in proxy.requests)
    assert refused < 30  # halved for all that come after, and not each by itself


def test_no_more_requests_are_under_way_than_the_limit(make_shop: MakeShop) -> None:
    """And they are side by side, as soon as answers come without trouble."""
    shop = make_shop(products(2000))
    limits = replace(QUICK, most_items=40, most_in_flight=4)

    proxy, found = load(
        shop, lambda request, _: Fault(delay_s=0.05) if request.is_bulk else None, limits=limits
    )

    assert len(found) == 2000
    assert 2 <= proxy.most_at_once <= 4


def test_a_cluster_that_is_gone_ends_the_build_and_the_alias_stays(make_shop: MakeShop) -> None:
    """With its address in the message, exit code 4 for scripts, and the live index untouched."""
    shop = make_shop(products(50))
    shop.build()
    live = shop.live

    def choose(request: Request, _: int) -> Fault | None:
        return Fault(status=503) if request.is_bulk else None

    limits = SendLimits(patience_s=0.5, first_wait_s=0.05)
    with (
        FaultProxy(shop.settings.url, choose).running() as proxy,
        pytest.raises(ClusterUnavailable, match=r"answers 503: .*try again later"),
    ):
        shop.build(replace(shop.settings, url=proxy.url), limits=limits)

    assert shop.live == live
    assert len(shop.contents()) == 50


def test_conflicts_with_the_mapping_in_one_row_of_a_hundred_are_dead_letters(
    make_shop: MakeShop,
) -> None:
    """Each with its row and the cluster's error; all others are there."""
    rows = products(400)
    for at in range(0, 400, 100):
        rows[at]["brand"] = "b" * 40_000  # a keyword holds 32,766 bytes
    shop = make_shop(rows)

    report = shop.build()

    assert (report.documents, report.rejected) == (396, 4)
    letters = [json.loads(line) for line in shop.plan.rejects.read_text().splitlines()]
    assert {letter["id"] for letter in letters} == {"p0", "p100", "p200", "p300"}
    for letter in letters:
        assert letter["error"]["type"] == "illegal_argument_exception"
        assert letter["row"] == rows[letter["line"] - 1]
        assert letter["number"] == letter["line"]
    assert len(shop.contents()) == 396


def test_too_many_rejects_fail_the_build_before_the_swap(make_shop: MakeShop) -> None:
    """A feed that is half broken does not go live."""
    shop = make_shop([*products(20), *({"title": "no key"} for _ in range(6))])
    assert shop.build(max_rejects=6).swapped
    live = shop.live

    with pytest.raises(InputError, match=r"more than 5 rows are rejected \(--max-rejects\)"):
        shop.build(max_rejects=5)

    assert shop.live == live


def test_the_disk_flood_block_is_waited_out(make_shop: MakeShop) -> None:
    """The cluster answers 429 to every item while its disk is full."""
    shop = make_shop(products(300))
    client = shop.client

    def block(*, full: bool) -> None:
        settings = {"index.blocks.read_only_allow_delete": full or None}
        client.indices.put_settings(index=f"{shop.plan.alias}-*", body=settings)

    seen = threading.Event()

    def choose(request: Request, number: int) -> Fault | None:
        if request.is_bulk and number == 1:
            block(full=True)
        if request.is_bulk and number == 6 and not seen.is_set():
            seen.set()
            block(full=False)
        return None

    proxy, found = load(shop, choose)

    assert len(found) == 300
    assert seen.is_set()
    assert len(proxy.requests) > 6
