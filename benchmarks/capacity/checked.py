"""The planner's foretelling beside what was measured and what a simulation says."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from benchmarks.capacity.queueing import busy, latency_ms, simulated
from benchmarks.points import SuiteResult
from rerank_core.errors import ConfigError

_REQUESTS = 50_000
_PERCENTS = (50.0, 90.0, 99.0)
# Above that admission turns requests away, which a queue without end does not.
_MOST_BUSY = 0.9
# As the load client: values beyond a percentile, or it is the luck of a few.
_BEYOND = 10


@dataclass(frozen=True)
class Check:
    """One percentile at one measured load, three times."""

    offered_qps: float
    busy: float
    percent: float
    foretold_ms: float
    simulated_ms: float
    measured_ms: float


def checks(result: SuiteResult) -> Iterator[Check]:
    """Loads of scenario `saturation` up to nine tenths busy.

    The service times are those of one caller alone in the same run. Raises `ConfigError` where the
    scenario is not there.
    """
    saturation = result.scenario("saturation")
    if saturation is None:
        raise ConfigError("the result file lacks scenario saturation; nothing to check against")
    alone = next(one for one in saturation.points if one.factors.get("callers") == 1)
    times = list(alone.series["service_ms"])
    for point in saturation.points:
        offered = point.figures.get("offered_qps", 0.0)  # a closed loop offers nothing
        if not offered or busy(offered, times) > _MOST_BUSY:
            continue
        latencies = point.series["latency_ms"]
        copied = simulated(offered, times, _REQUESTS)
        for percent in _PERCENTS:
            if len(latencies) * (100 - percent) / 100 >= _BEYOND:
                yield Check(
                    offered,
                    busy(offered, times),
                    percent,
                    latency_ms(offered, times, (percent,))[0],
                    float(np.percentile(copied, percent)),
                    float(np.percentile(latencies, percent)),
                )
