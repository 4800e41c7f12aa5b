"""The engine from an event loop: scores as they come, deadlines, consumers that vanish."""

from __future__ import annotations

import asyncio
import time

import numpy as np
import pytest

from rerank_core.artifact import open_artifact
from rerank_core.engine import Ended, Engine, load_bi_encoder, load_cross_encoder
from rerank_core.errors import DeadlineError, NotReadyError, ScoringError
from tests.gated_path import Gate, eventually, gated
from tests.tiny_models import make_bi_encoder, make_cross_encoder

PRODUCTS = ["garden hose", "oak shelf", "steel bolt M8", "green hose 15 m", "led lamp", "chair"]


@pytest.fixture(scope="module")
def cross(tmp_path_factory):
    return load_cross_encoder(open_artifact(make_cross_encoder(tmp_path_factory.mktemp("m") / "c")))


@pytest.fixture(scope="module")
def bi(tmp_path_factory):
    return load_bi_encoder(open_artifact(make_bi_encoder(tmp_path_factory.mktemp("m") / "b")))


@pytest.fixture
def gate():
    gate = Gate()
    yield gate
    gate.open()


@pytest.fixture
def engine(gate):
    engine = Engine(1)
    yield engine
    gate.open()
    engine.close()


async def gather(stream):
    return [scored async for batch in stream.batches() for scored in batch]


def only(log, *names):
    return [entry for entry in log if entry in names]


async def test_an_event_loop_hears_what_a_thread_hears(engine, cross, bi):
    expected = dict(engine.submit(cross, "hose", PRODUCTS))
    streams = [engine.submit(cross, "hose", PRODUCTS) for _ in range(5)]
    for scored in await asyncio.gather(*map(gather, streams)):
        assert dict(scored) == pytest.approx(expected, abs=1e-5)
        assert len(scored) == len(PRODUCTS)
    assert {stream.ended for stream in streams} == {Ended.DONE}
    vectors = await engine.encode_async(bi, PRODUCTS)
    assert np.abs(vectors - engine.encode(bi, PRODUCTS)).max() < 1e-5


async def test_scores_come_before_the_last_one_is_there(engine, cross, gate):
    stream = engine.submit(gated(cross, "slow", [], gate), "hose", PRODUCTS)
    batches = stream.batches()
    for count in range(3):
        gate.admit(1)
        assert [place for place, _ in await anext(batches)] == [count]
        assert stream.ended is None
    gate.open()
    assert len([scored async for batch in batches for scored in batch]) == 3


async def test_scores_that_came_before_the_loop_began_are_not_lost(engine, cross):
    stream = engine.submit(cross, "hose", PRODUCTS)
    eventually(lambda: stream.ended is not None)
    assert len(await gather(stream)) == 6


async def test_an_event_loop_never_waits_past_a_deadline(engine, cross, bi, gate):
    """The loop itself stays free meanwhile."""
    log: list[str] = []
    busy = engine.submit(gated(cross, "busy", log, gate), "hose", ["a"])
    eventually(lambda: "busy" in log)
    stream = engine.submit(cross, "hose", PRODUCTS, deadline=time.monotonic() + 0.1)
    late = asyncio.create_task(gather(stream))
    encoding = asyncio.create_task(
        engine.encode_async(gated(bi, "late", log), PRODUCTS, deadline=time.monotonic() + 0.1)
    )
    await asyncio.sleep(0)
    assert await late == []
    assert stream.ended is Ended.DEADLINE
    with pytest.raises(DeadlineError):
        await encoding
    gate.open()
    assert len(await gather(busy)) == 1
    engine.close()
    assert only(log, "late", "late tokens") == []


async def test_a_cancelled_consumer_drops_the_work(engine, cross, gate):
    """As when a caller hangs up: its task is cancelled in the middle of the loop."""
    log: list[str] = []
    stream = engine.submit(gated(cross, "slow", log, gate), "hose", PRODUCTS)
    task = asyncio.create_task(gather(stream))
    gate.admit(1)
    await asyncio.to_thread(eventually, lambda: len(only(log, "slow")) == 2)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert stream.ended is Ended.CANCELLED
    gate.open()
    engine.close()
    assert len(only(log, "slow")) == 2


async def test_a_consumer_that_leaves_the_loop_drops_the_work(engine, cross, gate):
    log: list[str] = []
    stream = engine.submit(gated(cross, "slow", log, gate), "hose", PRODUCTS)
    gate.admit(1)
    async for _ in stream.batches():
        break
    for _ in range(3):  # the event loop closes a generator that was left
        await asyncio.sleep(0)
    assert stream.ended is Ended.CANCELLED
    gate.open()
    engine.close()
    assert len(only(log, "slow")) <= 2


async def test_a_cancelled_encode_drops_the_work(engine, bi, gate):
    log: list[str] = []
    slow = gated(bi, "slow", log, gate)
    task = asyncio.create_task(engine.encode_async(slow, PRODUCTS))
    await asyncio.to_thread(eventually, lambda: "slow" in log)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    gate.open()
    assert (await engine.encode_async(bi, PRODUCTS)).shape == (6, 32)
    assert only(log, "slow") == ["slow"]


async def test_failures_reach_the_event_loop(engine, cross, bi):
    def explode(_outputs):
        raise RuntimeError("the kernel gave up")

    with pytest.raises(ScoringError, match="the kernel gave up"):
        await gather(engine.submit(gated(cross, "poison", [], harm=explode), "hose", PRODUCTS))
    with pytest.raises(ScoringError, match="the kernel gave up"):
        await engine.encode_async(gated(bi, "poison", [], harm=explode), PRODUCTS)


async def test_closing_wakes_an_event_loop_that_waits(engine, cross, bi, gate):
    log: list[str] = []
    busy = engine.submit(gated(cross, "busy", log, gate), "hose", ["a"])
    eventually(lambda: "busy" in log)
    waiting = asyncio.create_task(gather(engine.submit(cross, "hose", PRODUCTS)))
    encoding = asyncio.create_task(engine.encode_async(bi, PRODUCTS))
    await asyncio.sleep(0)
    closing = asyncio.create_task(asyncio.to_thread(engine.close))
    for task in (waiting, encoding):
        with pytest.raises(NotReadyError):
            await task
    gate.open()
    await closing
    assert len(await gather(busy)) == 1


def test_a_loop_that_is_gone_stops_no_worker(engine, cross, gate):
    """A consumer whose event loop was closed under it loses its work and harms no other."""
    log: list[str] = []
    stream = engine.submit(gated(cross, "orphan", log, gate), "hose", PRODUCTS)
    loop = asyncio.new_event_loop()
    batches = stream.batches()
    first = asyncio.ensure_future(anext(batches), loop=loop)
    loop.call_soon(loop.stop)
    loop.run_forever()
    assert not first.done()
    loop.close()
    gate.open()
    eventually(lambda: stream.ended is not None)
    assert stream.ended is Ended.CANCELLED
    assert len(list(engine.submit(cross, "hose", PRODUCTS))) == 6
    assert len(only(log, "orphan")) <= 2
    first._log_destroy_pending = False  # its loop is gone on purpose


async def test_many_consumers_at_once(engine, cross, bi):
    """Streams and vectors of one loop, a third of them given up, get what is theirs."""
    expected = dict(engine.submit(cross, "hose", PRODUCTS))

    async def one(number):
        match number % 3:
            case 0:
                scored = await gather(engine.submit(cross, "hose", PRODUCTS))
                assert dict(scored) == pytest.approx(expected, abs=1e-5)
            case 1:
                assert (await engine.encode_async(bi, PRODUCTS[: number % 7])).shape[1] == 32
            case 2:
                task = asyncio.create_task(gather(engine.submit(cross, "hose", PRODUCTS)))
                await asyncio.sleep(0)
                task.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await task

    await asyncio.gather(*map(one, range(60)))
    eventually(lambda: engine.waiting == 0)
