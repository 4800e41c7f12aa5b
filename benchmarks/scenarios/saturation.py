"""Latency and goodput against offered load, from half of capacity to ten times."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from statistics import median

from benchmarks.load.plan import LoadPlan
from benchmarks.load.run import Bodies
from benchmarks.load.samples import LoadRun
from benchmarks.points import Factor, Point, load_point
from benchmarks.scenarios.ground import NO_CACHE, Ground
from benchmarks.workload.draw import Wish

ABOUT = (
    "Titles, no score cache. Capacity is what a closed loop of four callers reaches; the budget is "
    "four times the median service time of one caller alone, in steps of 50 ms. Open loops offer a "
    "share of capacity with that budget; two of them, and the closed loops, have no budget at all. "
    "All over gRPC but the last, one caller alone over HTTP."
)

_SHARES = (0.5, 0.8, 0.9, 1.0, 1.5, 2.0, 10.0)
_QUICK_SHARES = (0.5, 0.8, 1.0, 2.0, 10.0)
_OVERLOAD = 1.5
_CALLERS = 4
_NO_BUDGET_MS = 120_000.0
_BUDGET_IN_SERVICE_TIMES = 4
_STEP_MS = 50
_SETTLE_S = 6.0


def points(ground: Ground) -> Iterator[Point]:
    """One idle caller, a closed loop, open loops."""
    traffic = ground.traffic(Wish(turns=2000, questions=400, candidates=(ground.candidates,)))
    asked = Bodies.of(traffic, "grpc")
    with ground.sidecar(*NO_CACHE, http=True) as sidecar:
        alone = LoadPlan(
            sidecar.target,
            "grpc",
            traffic.name,
            rate_qps=0.0,
            duration_s=ground.pick(15, 6),
            budget_ms=_NO_BUDGET_MS,
            callers=1,
        )
        # The cost model and the allocator learn from the first ones, which count nowhere.
        ground.hold(replace(alone, duration_s=_SETTLE_S), asked)
        idle = ground.hold(alone, asked)
        yield _point(ground, "closed", idle, callers=1)
        closed = ground.hold(replace(alone, callers=_CALLERS, duration_s=ground.pick(25, 8)), asked)
        yield _point(ground, "closed", closed, callers=_CALLERS)
        capacity_qps = closed.reached_qps
        budget_ms = _STEP_MS * math.ceil(
            _BUDGET_IN_SERVICE_TIMES * median(idle.service_ms) / _STEP_MS
        )

        def open_loop(share: float, budget_ms: float) -> LoadRun:
            rate_qps = share * capacity_qps
            plan = replace(
                alone,
                callers=0,
                rate_qps=rate_qps,
                budget_ms=budget_ms,
                duration_s=_duration_s(ground, rate_qps),
            )
            return ground.hold(plan, asked)

        for share in _QUICK_SHARES if ground.quick else _SHARES:
            yield _point(ground, "open", open_loop(share, float(budget_ms)), share=share)
        for share in (0.8, _OVERLOAD):
            run = open_loop(share, _NO_BUDGET_MS)
            yield _point(ground, "open, no budget", run, share=share)
        by_http = replace(alone, target=sidecar.http, surface="http")
        run = ground.hold(by_http, Bodies.of(traffic, "http"))
        yield _point(ground, "closed", run, callers=1, surface="http")


def _duration_s(ground: Ground, rate_qps: float) -> float:
    """Until enough have come for a percentile, within bounds."""
    enough_s = ground.pick(400, 120) / rate_qps
    return min(max(enough_s, ground.pick(20, 8)), ground.pick(60, 40))


def _point(ground: Ground, loop: str, run: LoadRun, **factors: Factor) -> Point:
    named: dict[str, Factor] = {"candidates": float(ground.candidates), "loop": loop, **factors}
    point = load_point(run, named, ground.candidates)
    offered = {"offered_qps": round(run.plan.rate_qps, 3)} if run.plan.open_loop else {}
    return replace(point, figures=point.figures | offered | {"budget_ms": run.plan.budget_ms})
