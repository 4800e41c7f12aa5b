"""The load client's own process: ``python -m benchmarks.load.sender``, a plan in, samples out.

Its standard input is one JSON object (`Orders`), its standard output the samples as JSON.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import gc
import json
import os
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.load.arrivals import shaped
from benchmarks.load.plan import LoadPlan
from benchmarks.load.samples import Sample
from benchmarks.load.surfaces import Asker, asker
from rerank_core.errors import ConfigError
from rerank_core.records import read_value, to_json

# The last stretch to a request's time is waited for in the loop: timers are late by a millisecond.
_NEAR_S = 0.002

# The client stands for another machine, so on this one it goes first where that is allowed.
_NICENESS = -10


@dataclass(frozen=True)
class Orders:
    """What to send, and the bodies to take turns with, in base64."""

    plan: LoadPlan
    bodies: tuple[str, ...]
    arrivals_s: tuple[float, ...] | None = None
    """When, in an open loop; None: Poisson arrivals of the plan's shape and seed."""
    turns: tuple[int, ...] = ()
    """Which body comes when; none: one after the other. Either begins again at its end."""


@dataclass(frozen=True)
class Sent:
    """Every request of a plan, in the order in which they were answered."""

    began_s: float
    """Of `time.perf_counter`, which all processes of a machine share on Linux."""
    samples: tuple[Sample, ...]


async def send(
    plan: LoadPlan,
    bodies: Sequence[bytes],
    arrivals_s: Sequence[float] | None = None,
    turns: Sequence[int] = (),
) -> Sent:
    """Sends until the plan is done and everything is answered."""
    async with asker(plan.surface, plan.target, plan.budget_ms) as asking:
        run = _Run(asking, bodies, turns or range(len(bodies)))
        if plan.open_loop:
            if arrivals_s is None:
                arrivals_s = shaped(plan.rate_qps, plan.duration_s, plan.shape, plan.seed)
            await run.openly(arrivals_s)
        else:
            await asyncio.gather(*(run.again(plan.duration_s) for _ in range(plan.callers)))
        return Sent(run.began_s, tuple(run.samples))


class _Run:
    def __init__(self, asking: Asker, bodies: Sequence[bytes], turns: Sequence[int]) -> None:
        self._asking = asking
        self._bodies = bodies
        self._turns = turns
        self._sent = 0
        self.began_s = time.perf_counter()
        self.samples: list[Sample] = []

    def _now(self) -> float:
        return time.perf_counter() - self.began_s

    async def openly(self, arrivals: Sequence[float]) -> None:
        """Each at its time, whatever became of those before."""
        under_way: set[asyncio.Task[None]] = set()
        for intended_s in arrivals:
            # An event would not say when its time has come.
            while (wait_s := intended_s - self._now()) > 0:  # noqa: ASYNC110
                await asyncio.sleep(wait_s - _NEAR_S if wait_s > _NEAR_S else 0)
            task = asyncio.create_task(self._one(intended_s))
            under_way.add(task)
            task.add_done_callback(under_way.discard)
        while under_way:
            await asyncio.wait(under_way)

    async def again(self, duration_s: float) -> None:
        """One caller, who asks again as soon as it is answered."""
        while (now_s := self._now()) < duration_s:
            await self._one(now_s)

    async def _one(self, intended_s: float) -> None:
        number = self._turns[self._sent % len(self._turns)]
        self._sent += 1
        sent_s = self._now()
        answer = await self._asking.ask(self._bodies[number])
        self.samples.append(
            Sample(
                intended_s,
                sent_s,
                self._now(),
                answer.outcome,
                answer.detail,
                number,
                answer.scored,
                round(answer.engine_ms, 3),
            )
        )


def _stand_for_another_machine() -> None:
    """Goes before the server where both share cores, as far as this user may."""
    try:
        # Before anything of ordinary priority, at once; it sleeps nearly all the time.
        os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(1))
    except (AttributeError, PermissionError):  # no such call on macOS
        with contextlib.suppress(PermissionError):
            os.setpriority(os.PRIO_PROCESS, 0, _NICENESS)


def main() -> None:
    """Reads, sends, writes."""
    orders = read_value(Orders, json.load(sys.stdin), "the orders", ConfigError)
    bodies = [base64.b64decode(one) for one in orders.bodies]
    _stand_for_another_machine()
    # A collection of garbage would come between a request and its time.
    gc.collect()
    gc.freeze()
    gc.disable()
    sent = asyncio.run(send(orders.plan, bodies, orders.arrivals_s, orders.turns))
    json.dump(to_json(sent), sys.stdout)


if __name__ == "__main__":
    main()
