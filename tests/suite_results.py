"""A made-up result of the benchmark suite, with every scenario."""

from __future__ import annotations

import random
from dataclasses import replace
from functools import cache

from benchmarks.load.plan import LoadPlan
from benchmarks.load.samples import LoadRun, Sample
from benchmarks.machine import Machine
from benchmarks.points import FORMAT, Point, Scenario, SuiteResult, load_point, series_point

MACHINE = Machine("Made-up 1, family 1 model 1", ("avx2",), 2, "Linux", {"numpy": "2"}, "abc")
LOAD = (0.1, 0.1, 0.1)
CAPACITY_QPS = 10.0
SERVICE_MS = 100.0
BUDGET_MS = 400.0


def made_run(
    rate_qps,
    latency_ms,
    *,
    callers=0,
    count=200,
    full=1.0,
    seed=1,
    seconds=30.0,
    budget_ms=BUDGET_MS,
):
    """Latencies spread by a tenth; the first `full` share of each ten is whole.

    Of the seconds a tenth is warm-up; the samples are spread over the rest.
    """
    dice = random.Random(seed)
    plan = LoadPlan("t", "grpc", "titles x 100", rate_qps, seconds, budget_ms, callers=callers)
    samples = []
    for number in range(count):
        at = 0.1 * seconds + 0.9 * seconds * number / count
        took_s = latency_ms * dice.uniform(0.9, 1.1) / 1e3
        whole = number % 10 < 10 * full
        outcome, detail = ("full", "") if whole else ("degraded", "OVERLOAD")
        samples.append(Sample(at, at, at + took_s, outcome, detail, 0, 100 if whole else 0))
    return LoadRun(plan, 1000.0, tuple(samples))


def loaded(loop, run, **factors):
    point = load_point(run, {"candidates": 100.0, "loop": loop, **factors}, 100)
    offered = {"offered_qps": run.plan.rate_qps} if run.plan.open_loop else {}
    offered |= {"budget_ms": run.plan.budget_ms}
    return replace(point, figures=point.figures | offered)


@cache
def made_result(slower=1.0, seed=1):
    """Everything takes `slower` times as long as 100 ms for 100 titles of 25 tokens."""
    dice = random.Random(seed)

    def times(ms, count=15):
        return [slower * ms * dice.uniform(0.95, 1.05) for _ in range(count)]

    def cost(factors, ms, candidates=100.0, tokens=25.0):
        figures = {"candidates": candidates, "tokens_a_pair": tokens}
        return series_point(factors, {"service_ms": times(ms)}, figures)

    def open_run(rate_qps, latency_ms, **how):
        """As many as the rate says, in nine tenths of a hundred seconds, of high rates twenty."""
        seconds = 100.0 if rate_qps <= CAPACITY_QPS else 20.0
        count = round(0.9 * seconds * rate_qps)
        return made_run(
            rate_qps, slower * latency_ms, count=count, seed=seed, seconds=seconds, **how
        )

    patient = {"seed": seed, "budget_ms": 120_000.0}
    four = made_run(0.0, slower * 400, callers=4, count=round(270 / slower), **patient)
    saturation = [
        loaded("closed", made_run(0.0, slower * 100, callers=1, **patient), callers=1),
        loaded("closed", four, callers=4),
    ]
    for share, latency, full in ((0.5, 130, 1.0), (0.8, 250, 1.0), (1.0, 300, 0.8), (2.0, 300, 0.5),
                                 (10.0, 300, 0.1)):  # fmt: skip
        run = open_run(share * CAPACITY_QPS, latency, full=full)
        saturation.append(loaded("open", run, share=share))
    for share, latency in ((0.5, 150), (0.8, 300), (1.5, 4000)):
        run = open_run(share * CAPACITY_QPS, latency, budget_ms=120_000.0)
        saturation.append(loaded("open, no budget", run, share=share))
    costs = [
        *(
            cost({"varied": "candidates", "candidates": n}, 2 + 0.98 * n, candidates=n)
            for n in (10.0, 100.0, 1000.0)
        ),
        cost({"varied": "tokens", "product_tokens": 64.0}, 250, tokens=62.5),
        cost({"varied": "threads", "threads": "1"}, 190),
        cost({"varied": "threads", "threads": "all"}, 100),
        cost({"varied": "path", "path": "default"}, 100),
        cost({"varied": "path", "path": "fp32"}, 160),
        cost({"varied": "layers", "layers": 6.0}, 100),
        cost({"varied": "layers", "layers": 3.0}, 50),
    ]
    budgets = [
        series_point(
            {"set": "shop", "budget_ms": budget},
            {"ndcg_at_10": [quality] * 20, "kept_of_10": [kept] * 20},
            {"ndcg_at_10_mean": quality, "kept_of_10_mean": kept, "scored_share_mean": share},
        )
        for budget, quality, kept, share in (
            (0.0, 0.80, 0.5, 0.0), (50.0, 0.81, 0.7, 0.3), (100.0, 0.82, 0.9, 0.8),
            ("none", 0.83, 1.0, 1.0),
        )
    ]  # fmt: skip
    funnel = [
        series_point(
            {"set": "shop", "depth": depth},
            {
                "service_ms": times(150),
                "stage_embed_ms": times(8),
                "stage_retrieve_ms": times(30),
                "stage_score_ms": times(100),
            },
        )
        for depth in (100.0, 30.0)
    ]
    cached = [
        loaded("open", made_run(8.0, ms * slower, seed=seed)) for ms in (200, 60)
    ]  # fmt: skip
    scenarios = {
        "saturation": saturation,
        "cost": costs,
        "budget": budgets,
        "cache": [
            Point({"cache": name}, one.series, one.figures, one.histograms)
            for name, one in zip(("off", "on"), cached, strict=True)
        ],
        "start": [
            series_point(
                {"start": "warm files"},
                {"serving_ms": times(2000, 5), "first_ms": times(110, 5)},
            )
        ],
        "funnel": funnel,
        "memory": [Point({"after": "start"}, figures={"resident_bytes": 3e8, "peak_bytes": 4e8})],
    }
    return SuiteResult(
        FORMAT,
        MACHINE,
        "student",
        "0" * 64,
        "native-int8",
        tuple(
            Scenario(name, f"About {name}.", LOAD, LOAD, tuple(points))
            for name, points in scenarios.items()
        ),
    )
