"""The score cache on and off, on queries with a Zipf head."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace

import httpx

from benchmarks.load.plan import LoadPlan
from benchmarks.load.run import Bodies
from benchmarks.points import Point, load_point
from benchmarks.scenarios.ground import NO_CACHE, Ground
from benchmarks.workload.draw import Wish

ABOUT = (
    "Titles, queries drawn from a Zipf distribution (exponent 1): the same file replayed at the "
    "same rate, three quarters of the capacity without a cache, with and without one. Priorities "
    "are mixed, a tenth batch, and the last quarter is a burst of twice the rate."
)

_SHARE = 0.75
_BUDGET_MS = 120_000.0
_SHAPE = (0.8, 0.8, 0.8, 1.6)
_LOOKUPS = re.compile(r'rerank_score_cache_lookups_total\{outcome="(hit|miss)"\} (\S+)')


def points(ground: Ground) -> Iterator[Point]:
    """Off first: it tells the capacity."""
    traffic = ground.traffic(
        Wish(
            turns=2000,
            questions=400,
            candidates=(ground.candidates,),
            zipf=1.0,
            batch_share=0.1,
            shape=_SHAPE,
        )
    )
    asked = Bodies.of(traffic, "grpc")
    rate_qps = 0.0
    for cache in ("off", "on"):
        with ground.sidecar(*(NO_CACHE if cache == "off" else ()), http=True) as sidecar:
            plan = LoadPlan(
                sidecar.target,
                "grpc",
                f"{traffic.name}, zipf",
                rate_qps=0.0,
                duration_s=ground.pick(12, 6),
                budget_ms=_BUDGET_MS,
                callers=4,
            )
            if not rate_qps:
                rate_qps = _SHARE * ground.hold(plan, asked).reached_qps
            open_loop = replace(plan, callers=0, rate_qps=rate_qps, duration_s=ground.pick(60, 15))
            run = ground.hold(open_loop, asked)
            point = load_point(run, {"cache": cache}, ground.candidates)
            figures = {
                "offered_qps": round(rate_qps, 3),
                "repeated_share": traffic.header.repeated,
                "hit_share": _hit_share(sidecar.http),
            }
            yield replace(point, figures=point.figures | figures)


def _hit_share(http: str) -> float:
    """Of the pairs that were looked up, by the server's own count."""
    page = httpx.get(f"http://{http}/metrics", trust_env=False).text
    counts = {outcome: float(count) for outcome, count in _LOOKUPS.findall(page)}
    total = sum(counts.values())
    return round(counts.get("hit", 0.0) / total, 4) if total else 0.0
