"""Resident memory of the server process: after its start, at work, with a full cache."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from benchmarks.load.plan import LoadPlan
from benchmarks.load.run import Bodies
from benchmarks.points import Point
from benchmarks.scenarios.ground import Ground
from benchmarks.workload.draw import Wish

ABOUT = (
    "Resident bytes of the server process, and its peak so far, with the cross-encoder and the "
    "bi-encoder loaded, HTTP on: after the start, after requests of titles, after requests of a "
    "thousand long descriptions, cache at its default bound."
)

_BUDGET_MS = 120_000.0


def points(ground: Ground) -> Iterator[Point]:
    """In the order in which the process lives."""
    titles = ground.traffic(Wish(turns=500, questions=200, candidates=(ground.candidates,)))
    most = 1000 if not ground.quick else 200
    most = min(most, len(ground.folder("crowdflower").products()) // 2)
    long = ground.long_traffic(Wish(turns=20, questions=20, candidates=(most,)))
    with ground.sidecar("--models.encoders", "minilm", http=True) as sidecar:

        def point(stage: str) -> Point:
            now, peak = sidecar.resident_bytes()
            figures = {"resident_bytes": float(now), "peak_bytes": float(peak)}
            return Point({"after": stage}, figures=figures)

        yield point("start")
        plan = LoadPlan(
            sidecar.target,
            "grpc",
            titles.name,
            rate_qps=0.0,
            duration_s=ground.pick(20, 6),
            budget_ms=_BUDGET_MS,
            callers=4,
        )
        ground.hold(plan, Bodies.of(titles, "grpc"))
        yield point("titles")
        ground.hold(replace(plan, workload=long.name), Bodies.of(long, "grpc"))
        yield point(long.name)
