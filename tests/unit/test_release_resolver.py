"""Aliases that many ask for at once, each with a deadline of its own."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import pytest
from aiohttp import web

from rerank_core.cluster.resolver import AliasResolver
from rerank_core.errors import ClusterTimeout, ClusterUnavailable
from tests.answering import answering
from tests.release_records import RECORD

LONG_S = 60.0


def mapping(index: str) -> web.Response:
    return web.json_response({index: {"mappings": {"_meta": {"release": RECORD}}}})


class Cluster:
    """Answers once it is let to, and counts what it is asked."""

    def __init__(self) -> None:
        self.asked = 0
        self.heard = asyncio.Event()
        self.answers = asyncio.Event()

    async def answer(self, _: web.Request) -> web.Response:
        """The index's name says which request it was."""
        self.asked += 1
        index = f"products-{self.asked}"
        self.heard.set()
        await self.answers.wait()
        return mapping(index)


async def test_a_hundred_callers_at_once_make_one_request() -> None:
    """And all have its answer."""
    cluster = Cluster()
    async with answering(cluster.answer) as client:
        aliases = AliasResolver(client)
        callers = [asyncio.create_task(aliases.resolve("products", LONG_S)) for _ in range(100)]
        await cluster.heard.wait()
        cluster.answers.set()
        found = await asyncio.gather(*callers)

    assert cluster.asked == 1
    assert {resolved.index for resolved in found} == {"products-1"}


async def test_a_caller_waits_no_longer_than_its_own_deadline() -> None:
    """Whether it asks first or joins; the client's ten seconds are not waited for."""
    cluster = Cluster()
    async with answering(cluster.answer) as client:
        aliases = AliasResolver(client)
        patient = asyncio.create_task(aliases.resolve("products", LONG_S))
        await cluster.heard.wait()
        with pytest.raises(ClusterTimeout, match=r"resolving alias 'products'.*in time"):
            await aliases.resolve("products", 0.05)
        with pytest.raises(ClusterTimeout, match=r"resolving alias 'others'.*in time"):
            await aliases.resolve("others", 0.05)
        assert not patient.done()
        cluster.answers.set()
        assert (await patient).index == "products-1"


async def test_a_patient_caller_is_not_failed_by_an_impatient_one() -> None:
    """The request of the first ends with its deadline; the second one asks again."""
    cluster = Cluster()
    async with answering(cluster.answer) as client:
        aliases = AliasResolver(client)
        hasty = asyncio.create_task(aliases.resolve("products", 1.0))
        await cluster.heard.wait()
        patient = asyncio.create_task(aliases.resolve("products", LONG_S))
        with pytest.raises(ClusterTimeout):
            await hasty
        cluster.answers.set()
        assert (await patient).index == "products-2"


async def test_a_caller_that_goes_away_leaves_the_request_to_the_others() -> None:
    """A shopper who closes the page fails nobody else's search."""
    cluster = Cluster()
    async with answering(cluster.answer) as client:
        aliases = AliasResolver(client)
        leaving = asyncio.create_task(aliases.resolve("products", LONG_S))
        await cluster.heard.wait()
        staying = asyncio.create_task(aliases.resolve("products", LONG_S))
        await asyncio.sleep(0)
        leaving.cancel()
        with suppress(asyncio.CancelledError):
            await leaving
        cluster.answers.set()
        assert (await staying).index == "products-1"
    assert cluster.asked == 1


async def test_what_is_forgotten_while_it_is_asked_is_asked_again() -> None:
    """The answer under way may be of before the swap."""
    cluster = Cluster()
    async with answering(cluster.answer) as client:
        aliases = AliasResolver(client)
        before = asyncio.create_task(aliases.resolve("products", LONG_S))
        await cluster.heard.wait()
        aliases.forget("products")
        after = asyncio.create_task(aliases.resolve("products", LONG_S))
        await asyncio.sleep(0)
        cluster.answers.set()
        assert (await before).index == "products-1"
        assert (await after).index == "products-2"
        assert (await aliases.resolve("products", LONG_S)).index == "products-2"


@pytest.mark.parametrize(
    "body", [[], "busy", {}, {"products-1": []}, {"products-1": {"mappings": None}}]
)
async def test_an_answer_of_another_shape_is_no_clusters(body: object) -> None:
    """What sends it is some other program."""

    async def answer(_: web.Request) -> web.Response:
        return web.json_response(body)

    async with answering(answer) as client:
        with pytest.raises(
            ClusterUnavailable, match=r"resolving alias 'products': .*search cluster"
        ):
            await AliasResolver(client).resolve("products", LONG_S)
