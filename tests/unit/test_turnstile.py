"""Who goes in, in which order, and who is sent away: hand-worked, on a clock that stands still."""

from __future__ import annotations

import asyncio
import time

import pytest

from rerank_core.engine import Priority
from rerank_core.errors import OverloadError
from sidecar.admission.turnstile import Turnstile

BATCH, INTERACTIVE = Priority.BATCH, Priority.INTERACTIVE


class Scene:
    """Requests at a turnstile with one worker, on a clock that the test moves."""

    def __init__(self, workers=1) -> None:
        self.now = 100.0
        self.turnstile = Turnstile(workers, clock=lambda: self.now)
        self.entered: list[str] = []
        self._gates: dict[str, asyncio.Event] = {}
        self._tasks: dict[str, asyncio.Task] = {}

    async def come(self, name, work_ms, budget_ms, client="a", priority=INTERACTIVE):
        """A request arrives; it stays inside until `leave`."""
        gate = self._gates[name] = asyncio.Event()

        async def visit():
            deadline = self.now + budget_ms / 1e3
            async with self.turnstile.turn(client, priority, work_ms, deadline) as ticket:
                self.entered.append(name)
                self.ticket = ticket
                await gate.wait()

        self._tasks[name] = asyncio.create_task(visit())
        await asyncio.sleep(0)
        await asyncio.sleep(0)

    async def leave(self, name, after_ms=0.0):
        """Its work is done, so long after it came in."""
        self.now += after_ms / 1e3
        self._gates[name].set()
        await self._tasks[name]
        await asyncio.sleep(0)
        await asyncio.sleep(0)

    def refused(self, name) -> bool:
        """Whether it was sent away."""
        task = self._tasks[name]
        return task.done() and isinstance(task.exception(), OverloadError)

    async def cancel(self, name):
        """Its caller went away."""
        self._tasks[name].cancel()
        await asyncio.gather(self._tasks[name], return_exceptions=True)
        await asyncio.sleep(0)

    async def close(self):
        """Nobody is left."""
        for task in self._tasks.values():
            task.cancel()
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)


@pytest.fixture
async def scene():
    made = Scene()
    yield made
    await made.close()
    assert (made.turnstile.waiting, made.turnstile.inside) == (0, 0)


async def test_only_as_much_goes_in_as_keeps_the_workers_busy(scene):
    """50 ms a worker: of 40, 40 and 40 the third waits until the first is done."""
    for name in "abc":
        await scene.come(name, work_ms=40, budget_ms=1000)
    assert scene.entered == ["a", "b"]
    await scene.leave("a", after_ms=40)
    assert scene.entered == ["a", "b", "c"]


async def test_progress_inside_makes_room(scene):
    """Half of 90 ms done leaves 45: less than 50, so the next goes in."""
    await scene.come("a", work_ms=90, budget_ms=1000)
    await scene.come("b", work_ms=90, budget_ms=1000)
    assert scene.entered == ["a"]
    scene.ticket.left = 0.5
    scene.turnstile.progressed()
    await asyncio.sleep(0)
    assert scene.entered == ["a", "b"]


async def test_a_wait_past_the_deadline_is_refused_at_once(scene):
    """100 inside and 100 waiting: a third is done at 300 x 1.15 from now, so 340 are too few."""
    await scene.come("a", work_ms=100, budget_ms=1000)
    await scene.come("b", work_ms=100, budget_ms=1000)
    await scene.come("late", work_ms=100, budget_ms=340)
    await scene.come("in time", work_ms=100, budget_ms=350)
    assert scene.refused("late")
    assert not scene.refused("in time")
    assert scene.turnstile.wait_ms() == 300


async def test_nobody_waits_past_its_deadline():
    """Foretold to be next after 120 ms; who is inside does not end, so 200 ms later it hears so."""
    turnstile = Turnstile(1)
    async with turnstile.turn("a", INTERACTIVE, 120, time.monotonic() + 60):
        with pytest.raises(OverloadError, match="the wait would pass the deadline"):
            async with turnstile.turn("b", INTERACTIVE, 40, time.monotonic() + 0.2):
                raise AssertionError("it was let in")
        assert turnstile.waiting == 0


async def test_two_workers_halve_the_wait():
    """200 worker-milliseconds before it and 100 of its own are 150 ms."""
    scene = Scene(workers=2)
    await scene.come("a", work_ms=200, budget_ms=1000)
    await scene.come("b", work_ms=100, budget_ms=180)
    await scene.come("c", work_ms=100, budget_ms=180)
    assert not scene.refused("b")
    assert scene.refused("c")
    await scene.close()


async def test_a_flood_queues_behind_itself(scene):
    """A client with ten requests before the turnstile does not keep another from its turn."""
    for number in range(10):
        await scene.come(f"flood {number}", work_ms=100, budget_ms=5000, client="greedy")
    await scene.come("quiet", work_ms=100, budget_ms=5000, client="modest")
    await scene.leave("flood 0", after_ms=100)
    assert scene.entered == ["flood 0", "quiet"]


async def test_a_small_one_goes_in_beside_a_large_one(scene):
    """5,000 inside take turns with 20; the second 20 is next, done at (20 + 20) x 2 x 1.15 = 92."""
    await scene.come("large", work_ms=5000, budget_ms=60_000, client="greedy")
    await scene.come("small", work_ms=20, budget_ms=100, client="modest")
    await scene.come("next", work_ms=20, budget_ms=100, client="third")
    await scene.come("late", work_ms=20, budget_ms=100, client="fourth")
    assert scene.entered == ["large", "small"]
    assert (scene.refused("next"), scene.refused("late")) == (False, True)
    await scene.leave("small", after_ms=40)
    assert scene.entered == ["large", "small", "next"]


async def test_a_small_one_does_not_pass_what_is_not_much_larger(scene):
    """Four times its size is not more than four times; a tenth more is."""
    await scene.come("inside", work_ms=400, budget_ms=60_000, client="a")
    await scene.come("quarter", work_ms=100, budget_ms=60_000, client="b")
    assert scene.entered == ["inside"]
    await scene.come("less", work_ms=90, budget_ms=60_000, client="c")
    assert scene.entered == ["inside", "less"]


async def test_who_shared_and_came_late_makes_nobody_else_wait(scene):
    """That it took longer than foretold says nothing of the forecast."""
    await scene.come("large", work_ms=5000, budget_ms=60_000, client="a")
    large = scene.ticket
    await scene.come("small", work_ms=20, budget_ms=60_000, client="b")
    await scene.leave("small", after_ms=40)
    large.late = True
    await scene.leave("large", after_ms=1000)
    await scene.come("inside", work_ms=100, budget_ms=1000)
    await scene.come("in time", work_ms=100, budget_ms=231)
    assert not scene.refused("in time")


async def test_who_is_late_because_of_a_fairer_one_is_sent_away_at_once(scene):
    """The last of the flood, and nobody else: the rest still fits."""
    for number in range(4):
        await scene.come(f"flood {number}", work_ms=100, budget_ms=480, client="greedy")
    assert not any(scene.refused(f"flood {number}") for number in range(4))
    await scene.come("quiet", work_ms=100, budget_ms=480, client="modest")
    assert [scene.refused(f"flood {number}") for number in range(4)] == [False] * 3 + [True]
    assert not scene.refused("quiet")


async def test_interactive_work_goes_before_batch_work(scene):
    """Whatever came first."""
    await scene.come("running", work_ms=100, budget_ms=1000)
    await scene.come("batch", work_ms=100, budget_ms=1000, priority=BATCH)
    await scene.come("search", work_ms=100, budget_ms=1000)
    await scene.leave("running", after_ms=100)
    assert scene.entered == ["running", "search"]
    await scene.leave("search", after_ms=100)
    assert scene.entered == ["running", "search", "batch"]


async def test_a_clients_batch_work_does_not_delay_its_interactive_work(scene):
    """Its two batch requests count against its batch work: its search came first and goes first."""
    await scene.come("inside", work_ms=100, budget_ms=60_000, client="z")
    for name in ("nightly", "nightly too"):
        await scene.come(name, work_ms=100, budget_ms=60_000, client="a", priority=BATCH)
    await scene.come("search", work_ms=100, budget_ms=60_000, client="a")
    await scene.come("later", work_ms=100, budget_ms=60_000, client="b")
    for name in ("inside", "search", "later", "nightly"):
        await scene.leave(name, after_ms=100)
    assert scene.entered == ["inside", "search", "later", "nightly", "nightly too"]


async def test_batch_work_inside_does_not_delay_the_foretold_turn_of_a_search(scene):
    """The engine lets interactive units pass, so the turnstile does, too."""
    await scene.come("batch", work_ms=1000, budget_ms=9000, priority=BATCH)
    await scene.come("search", work_ms=40, budget_ms=60)
    assert scene.entered == ["batch", "search"]


async def test_more_than_fits_is_let_in_where_it_need_not_wait(scene):
    """500 ms of work in 100: a part of it is better than nothing, while nobody else is there."""
    await scene.come("large", work_ms=500, budget_ms=100)
    assert scene.entered == ["large"]
    await scene.come("another", work_ms=500, budget_ms=100)
    assert scene.refused("another")


async def test_late_ends_make_it_more_careful(scene):
    """100 ms that took longer than their 120: behind 40, 100 need 140 x 1.15 x 1.1 = 177.1."""
    await scene.come("late", work_ms=100, budget_ms=120)
    scene.ticket.late = True
    await scene.leave("late", after_ms=121)
    await scene.come("before", work_ms=40, budget_ms=1000)
    await scene.come("too tight", work_ms=100, budget_ms=177)
    await scene.come("in time", work_ms=100, budget_ms=178)
    assert scene.refused("too tight")
    assert not scene.refused("in time")


async def test_nobody_is_refused_by_a_server_that_has_nothing_to_do(scene):
    """100 in 101 ms is too tight, but nobody is before it: it may be cut at its deadline, no worse.

    What it teaches is known already, so its late end makes nobody else wait.
    """
    await scene.come("late", work_ms=100, budget_ms=120)
    scene.ticket.late = True
    await scene.leave("late", after_ms=121)
    await scene.come("tight", work_ms=100, budget_ms=101)
    assert scene.entered == ["late", "tight"]
    scene.ticket.late = True
    await scene.leave("tight", after_ms=102)
    await scene.come("before", work_ms=40, budget_ms=1000)
    await scene.come("in time", work_ms=100, budget_ms=178)
    assert not scene.refused("in time")


async def test_whoever_goes_away_makes_room(scene):
    """A cancelled request leaves before it costs anything."""
    await scene.come("a", work_ms=100, budget_ms=1000)
    await scene.come("gone", work_ms=600, budget_ms=1000)
    await scene.cancel("gone")
    assert scene.turnstile.wait_ms() == 100
    await scene.come("b", work_ms=600, budget_ms=1000)
    assert not scene.refused("b")


async def test_a_client_that_was_refused_is_not_charged(scene):
    """Its next request stands where it would have stood."""
    await scene.come("a", work_ms=100, budget_ms=1000, client="x")
    await scene.come("refused", work_ms=500, budget_ms=510, client="y")
    await scene.come("b", work_ms=100, budget_ms=1000, client="x")
    await scene.come("c", work_ms=100, budget_ms=1000, client="y")
    assert scene.refused("refused")
    await scene.leave("a", after_ms=100)
    assert scene.entered == ["a", "c"]


async def test_names_of_passing_clients_are_forgotten(scene):
    """However many there are: memory is for those whose work is not done."""
    await scene.come("long", work_ms=10, budget_ms=1000)
    for number in range(3000):
        await scene.come("x", work_ms=1, budget_ms=1000, client=f"peer {number}")
        await scene.leave("x", after_ms=1)
    assert len(scene.turnstile._had) <= 1025
    await scene.leave("long")
    assert not scene.turnstile._had
