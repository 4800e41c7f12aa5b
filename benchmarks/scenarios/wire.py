"""What gRPC and its frame add to the engine's own time, and what serving leaves of its rate."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import grpc

from benchmarks.load.plan import LoadPlan
from benchmarks.load.run import Bodies
from benchmarks.load.samples import LoadRun
from benchmarks.points import Factor, Point, series_point
from benchmarks.scenarios.ground import NO_CACHE, Ground
from benchmarks.workload.draw import Wish
from benchmarks.workload.traffic import Traffic
from rerank_core.engine import CrossEncoder, Engine, load_cross_encoder

ABOUT = (
    "Titles over gRPC, no score cache. Beside the engine: the client's service time less what the "
    "answer says of queueing, tokenising and scoring, of whole answers; a health call on an idle "
    "server is the least that any call takes. Kept: requests a second of four callers by those of "
    "the engine alone, in this process, with as many callers, in turns."
)

_CALLERS = 4
_NO_BUDGET_MS = 120_000.0
_SETTLE_S = 6.0
_HALF = 0.5
_PAUSE_S = 0.02
_TIMEOUT_S = 60.0


def points(ground: Ground) -> Iterator[Point]:
    """Health calls, one caller, half of the capacity, and saturation."""
    traffic = ground.traffic(Wish(turns=2000, questions=200, candidates=(ground.candidates,)))
    asked = Bodies.of(traffic, "grpc")
    with ground.sidecar(*NO_CACHE) as sidecar:
        alone = LoadPlan(
            sidecar.target,
            "grpc",
            traffic.name,
            rate_qps=0.0,
            duration_s=_SETTLE_S,
            budget_ms=_NO_BUDGET_MS,
            callers=1,
        )
        ground.hold(alone, asked)
        four = replace(alone, callers=_CALLERS)
        capacity_qps = ground.hold(four, asked).reached_qps
        calls_ms = _health_ms(sidecar.target, int(ground.pick(300, 50)))
        yield series_point({"call": "health"}, {"service_ms": calls_ms})
        one = ground.hold(replace(alone, duration_s=ground.pick(30, 8)), asked)
        yield _beside({"call": "rerank", "load": "one caller"}, one)
        half_qps = _HALF * capacity_qps
        duration_s = max(_SETTLE_S, ground.pick(300, 20) / half_qps)
        half = replace(alone, callers=0, rate_qps=half_qps, duration_s=duration_s)
        yield _beside({"call": "rerank", "load": "half"}, ground.hold(half, asked))
        yield _saturated(ground, four, asked, traffic)


def _health_ms(target: str, calls: int) -> list[float]:
    with grpc.insecure_channel(target) as channel:
        check: Callable[..., object] = channel.unary_unary(
            "/grpc.health.v1.Health/Check"
        )  # bytes in, bytes out
        taken = []
        for _ in range(calls):
            time.sleep(_PAUSE_S)
            began = time.perf_counter()
            check(b"", timeout=_TIMEOUT_S)
            taken.append((time.perf_counter() - began) * 1e3)
    return taken


def _beside(factors: dict[str, Factor], run: LoadRun) -> Point:
    whole = [one for one in run.answered if one.outcome == "full"]
    point = series_point(
        factors,
        {
            "beside_engine_ms": [one.service_ms - one.engine_ms for one in whole],
            "engine_ms": [one.engine_ms for one in whole],
        },
        {"requests": float(len(whole)), "reached_qps": run.reached_qps},
    )
    return replace(point, faults=tuple(run.faults()), warnings=tuple(run.warnings()))


def _saturated(ground: Ground, four: LoadPlan, asked: Bodies, traffic: Traffic) -> Point:
    model = load_cross_encoder(ground.artifact)
    seconds = ground.pick(8, 3)
    served, engine_alone = [], []
    for number in range(int(ground.pick(5, 2))):
        ground.tell(f"the engine alone and served, round {number + 1}")
        engine_alone.append(_engine_qps(model, traffic, seconds))
        served.append(ground.hold(replace(four, duration_s=seconds), asked).reached_qps)
    kept = [one / other for one, other in zip(served, engine_alone, strict=True)]
    return series_point(
        {"call": "rerank", "load": "saturated"},
        {"served_qps": served, "engine_qps": engine_alone, "kept_share": kept},
        {"kept_share_median": sorted(kept)[len(kept) // 2]},
    )


def _engine_qps(model: CrossEncoder, traffic: Traffic, seconds: float) -> float:
    """Requests a second of `_CALLERS` threads that each ask again when they are answered."""
    began = time.perf_counter()
    with Engine() as engine, ThreadPoolExecutor(_CALLERS) as pool:

        def again(first: int) -> int:
            done = 0
            while time.perf_counter() - began < seconds:
                question = traffic.questions[(first + done * _CALLERS) % len(traffic.questions)]
                texts = [traffic.texts[at] for at in question.texts]
                for _ in engine.submit(model, question.query, texts):
                    pass
                done += 1
            return done

        done = sum(pool.map(again, range(_CALLERS)))
        return done / (time.perf_counter() - began)
