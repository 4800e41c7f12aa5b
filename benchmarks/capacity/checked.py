"""The planner's foretelling beside what was measured and what a simulation says."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from statistics import fmean

import numpy as np

from benchmarks.capacity.queueing import busy, latency_ms, simulated
from benchmarks.capacity.service import spread_of
from benchmarks.points import SuiteResult
from benchmarks.report.whole import whole_ms
from rerank_core.errors import ConfigError

_REQUESTS = 50_000
# Admission turns requests away that would miss their budget; the queue of the model has no end.
_LOOP = "open, no budget"
_PERCENTS = (50.0, 90.0, 99.0)
# Above that admission turns requests away, which a queue without end does not.
_MOST_BUSY = 0.9
# As the load client: values beyond a percentile, or it is the luck of a few.
_BEYOND = 10


@dataclass(frozen=True)
class Check:
    """One percentile at one measured load, three times."""

    loop: str
    reached_qps: float
    busy: float
    percent: float
    foretold_ms: float
    simulated_ms: float
    measured_ms: float
    faulted: bool
    """The measured load is not to be believed."""


def checks(result: SuiteResult) -> Iterator[Check]:
    """Open loops without a budget of scenario `saturation` up to nine tenths busy, as reached.

    Service times are those of one caller alone in the same run, spread as the planner spreads them.
    Raises `ConfigError` where the scenario is not there.
    """
    saturation = result.scenario("saturation")
    if saturation is None:
        raise ConfigError("the result file lacks scenario saturation; nothing to check against")
    alone = next(one for one in saturation.points if one.factors.get("callers") == 1)
    mean_ms = fmean(alone.series["service_ms"])
    times = [mean_ms * one for one in spread_of(alone.series["service_ms"])]
    for point in saturation.points:
        if point.factors["loop"] != _LOOP:
            continue
        reached = point.figures["reached_qps"]
        latencies = whole_ms(point)
        if not latencies or busy(reached, times) > _MOST_BUSY:
            continue
        copied = simulated(reached, times, _REQUESTS)
        for percent in _PERCENTS:
            if len(latencies) * (100 - percent) / 100 >= _BEYOND:
                yield Check(
                    _LOOP,
                    reached,
                    busy(reached, times),
                    percent,
                    latency_ms(reached, times, (percent,))[0],
                    float(np.percentile(copied, percent)),
                    float(np.percentile(latencies, percent)),
                    bool(point.faults),
                )
