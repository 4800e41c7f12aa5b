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
from benchmarks.workload.traffic import Traffic

ABOUT = (
    "Titles, queries drawn from a Zipf distribution (exponent 1): the same file replayed at the "
    "same rate, three quarters of the capacity without a cache, with and without one. Priorities "
    "are mixed, a tenth batch, and the last quarter is a burst of twice the rate."
)

_SHARE = 0.75
_OTHER_SEED = 10
_BUDGET_MS = 120_000.0
_SHAPE = (0.8, 0.8, 0.8, 1.6)
_LOOKUPS = re.compile(r'rerank_score_cache_lookups_total\{outcome="(hit|miss)"\} (\S+)')


def points(ground: Ground) -> Iterator[Point]:
    """Off first: it tells the capacity. Both warm up on other questions."""
    count = (ground.candidates,)
    others = ground.traffic(Wish(turns=400, questions=200, candidates=count, seed=_OTHER_SEED))
    warming = Bodies.of(others, "grpc")
    run_s = ground.pick(60, 15)
    traffic: Traffic | None = None
    rate_qps = 0.0
    for cache in ("off", "on"):
        with ground.sidecar(*(NO_CACHE if cache == "off" else ()), http=True) as sidecar:
            plan = LoadPlan(
                sidecar.target,
                "grpc",
                f"{others.name}, zipf",
                rate_qps=0.0,
                duration_s=ground.pick(12, 6),
                budget_ms=_BUDGET_MS,
                callers=4,
            )
            reached_qps = ground.hold(plan, warming).reached_qps
            if traffic is None:
                rate_qps = _SHARE * reached_qps
                wish = Wish(
                    # As many as the run takes, so that it sees the whole shape.
                    turns=max(1, round(rate_qps * run_s)),
                    questions=400,
                    candidates=count,
                    zipf=1.0,
                    batch_share=0.1,
                    shape=_SHAPE,
                )
                traffic = ground.traffic(wish)
            open_loop = replace(plan, callers=0, rate_qps=rate_qps, duration_s=run_s)
            hits, lookups = _lookups(sidecar.http)
            run = ground.hold(open_loop, Bodies.of(traffic, "grpc"))
            point = load_point(run, {"cache": cache}, ground.candidates)
            more_hits, more_lookups = _lookups(sidecar.http)
            asked = more_lookups - lookups
            figures = {
                "offered_qps": round(rate_qps, 3),
                "repeated_share": traffic.header.repeated,
                "hit_share": round((more_hits - hits) / asked, 4) if asked else 0.0,
            }
            yield replace(point, figures=point.figures | figures)


def _lookups(http: str) -> tuple[float, float]:
    """Pairs that were found, and that were looked up, by the server's own count."""
    page = httpx.get(f"http://{http}/metrics", trust_env=False).text
    counts = {outcome: float(count) for outcome, count in _LOOKUPS.findall(page)}
    return counts.get("hit", 0.0), sum(counts.values())
