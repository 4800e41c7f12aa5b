"""Latency and goodput against offered load, from a quarter of capacity to ten times."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from statistics import median

from benchmarks.load.plan import LoadPlan
from benchmarks.load.run import Bodies
from benchmarks.load.samples import LoadRun, pooled
from benchmarks.points import Factor, Point, load_point
from benchmarks.scenarios.ground import NO_CACHE, Ground
from benchmarks.workload.draw import Wish
from benchmarks.workload.traffic import Traffic

ABOUT = (
    "Titles, no score cache. Capacity is what a closed loop of four callers reaches; the budget is "
    "four times the median service time of one caller alone, in steps of 50 ms. Open loops offer a "
    "share of capacity with that budget; some of them, and the closed loops, have none at all. "
    "Slices of all of them take turns, each round with other requests and times, and are counted "
    "as one run each. All over gRPC but one, a caller alone over HTTP."
)

_SHARES = (0.25, 0.5, 0.8, 1.0, 1.5, 2.0, 10.0)
_QUICK_SHARES = (0.5, 0.8, 1.0, 2.0, 10.0)
_NO_BUDGET_SHARES = (0.5, 0.8, 1.5)
_QUICK_NO_BUDGET_SHARES = (0.5, 1.5)
_CALLERS = 4
_NO_BUDGET_MS = 120_000.0
_BUDGET_IN_SERVICE_TIMES = 4
_STEP_MS = 50
_SETTLE_S = 6.0
_ROUNDS, _QUICK_ROUNDS = 3, 2
_SEED = 9


@dataclass(frozen=True)
class _Load:
    """One point, in slices."""

    factors: Mapping[str, Factor]
    plan: LoadPlan


def points(ground: Ground) -> Iterator[Point]:
    """Closed loops and open ones, a slice of each in turn."""
    with ground.sidecar(*NO_CACHE, http=True) as sidecar:
        alone = LoadPlan(
            sidecar.target,
            "grpc",
            _traffic(ground, 0).name,
            rate_qps=0.0,
            duration_s=_SETTLE_S,
            budget_ms=_NO_BUDGET_MS,
            callers=1,
        )
        loads = list(_loads(ground, alone, sidecar.http))
        slices: list[list[LoadRun]] = [[] for _ in loads]
        for number in range(int(ground.pick(_ROUNDS, _QUICK_ROUNDS))):
            traffic = _traffic(ground, number)
            for load, runs in zip(loads, slices, strict=True):
                runs.append(ground.hold(load.plan, Bodies.of(traffic, load.plan.surface)))
        for load, runs in zip(loads, slices, strict=True):
            yield _point(ground, load.factors, pooled(runs))


def _traffic(ground: Ground, number: int) -> Traffic:
    """The requests of a round and their times."""
    return ground.traffic(
        Wish(turns=2000, questions=400, candidates=(ground.candidates,), seed=_SEED + number)
    )


def _loads(ground: Ground, alone: LoadPlan, http: str) -> Iterator[_Load]:
    """Capacity and budget are measured first; what they were measured by counts nowhere else."""
    asked = Bodies.of(_traffic(ground, 0), "grpc")
    # The cost model and the allocator learn from the first ones.
    ground.hold(alone, asked)
    idle = ground.hold(alone, asked)
    four = replace(alone, callers=_CALLERS, duration_s=ground.pick(12, _SETTLE_S))
    capacity_qps = ground.hold(four, asked).reached_qps
    budget_ms = _STEP_MS * math.ceil(_BUDGET_IN_SERVICE_TIMES * median(idle.service_ms) / _STEP_MS)

    slice_s = ground.pick(10, 5)
    closed = replace(alone, duration_s=slice_s)
    yield _Load({"loop": "closed", "callers": 1}, closed)
    yield _Load({"loop": "closed", "callers": _CALLERS}, replace(closed, callers=_CALLERS))

    def at(share: float, budget_ms: float) -> LoadPlan:
        rate_qps = share * capacity_qps
        duration_s = _slice_s(ground, rate_qps)
        return replace(
            alone, callers=0, rate_qps=rate_qps, budget_ms=budget_ms, duration_s=duration_s
        )

    for share in _QUICK_SHARES if ground.quick else _SHARES:
        yield _Load({"loop": "open", "share": share}, at(share, float(budget_ms)))
    for share in _QUICK_NO_BUDGET_SHARES if ground.quick else _NO_BUDGET_SHARES:
        yield _Load({"loop": "open, no budget", "share": share}, at(share, _NO_BUDGET_MS))
    by_http = replace(closed, target=http, surface="http")
    yield _Load({"loop": "closed", "callers": 1, "surface": "http"}, by_http)


def _slice_s(ground: Ground, rate_qps: float) -> float:
    """Until enough have come for a percentile, within bounds."""
    enough_s = ground.pick(400 / _ROUNDS, 120 / _QUICK_ROUNDS) / rate_qps
    return min(max(enough_s, ground.pick(10, 5)), ground.pick(22, 15))


def _point(ground: Ground, factors: Mapping[str, Factor], run: LoadRun) -> Point:
    point = load_point(run, {"candidates": float(ground.candidates), **factors}, ground.candidates)
    offered = {"offered_qps": round(run.plan.rate_qps, 3)} if run.plan.open_loop else {}
    return replace(point, figures=point.figures | offered | {"budget_ms": run.plan.budget_ms})
