"""What became of each request, and what a run of them is worth."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np

from benchmarks.load.plan import LoadPlan
from benchmarks.machine import Machine

Outcome = Literal["full", "degraded", "error"]

FORMAT = 1

# The client must not be what is measured.
_MOST_LAG_MS = 1.0
_SPARE = 5.0
# Of the samples beyond a percentile, or it is the luck of a few.
_BEYOND = 10
_DRIFT = 0.2
_PERCENTILES = (50.0, 90.0, 95.0, 99.0, 99.9)


@dataclass(frozen=True, slots=True)
class Sample:
    """One request; seconds since the run began."""

    intended_s: float
    """When it should have been sent: latency counts from here."""
    sent_s: float
    done_s: float
    outcome: Outcome
    detail: str = ""
    """Reasons of a degraded answer, or the error's status."""


@dataclass(frozen=True)
class LoadRun:
    """One offered load, all samples of it, the warm-up too."""

    plan: LoadPlan
    capacity_qps: float
    """What this client sends and reads at most, against a server that does nothing."""
    samples: tuple[Sample, ...]

    @cached_property
    def counted(self) -> tuple[Sample, ...]:
        """Those intended after the warm-up."""
        return tuple(one for one in self.samples if one.intended_s >= self.plan.warm_up_s)

    @property
    def latencies_ms(self) -> list[float]:
        """From the intended time, queueing at the client included, of all answers."""
        return [(one.done_s - one.intended_s) * 1e3 for one in self._answered]

    @property
    def service_ms(self) -> list[float]:
        """From when it was really sent."""
        return [(one.done_s - one.sent_s) * 1e3 for one in self._answered]

    @property
    def _answered(self) -> list[Sample]:
        return [one for one in self.counted if one.outcome != "error"]

    @property
    def goodput_qps(self) -> float:
        """Answers reranked whole and in time, a second."""
        in_time = [
            one
            for one in self.counted
            if one.outcome == "full" and (one.done_s - one.intended_s) * 1e3 <= self.plan.budget_ms
        ]
        return len(in_time) / self.plan.counted_s

    @property
    def outcomes(self) -> Counter[str]:
        """Of the counted."""
        return Counter(one.outcome for one in self.counted)

    def faults(self) -> list[str]:
        """Why its figures are not to be believed; none is a valid run."""
        found = []
        if not self.counted:
            return ["no request was sent after the warm-up"]
        lag_ms = np.quantile([(one.sent_s - one.intended_s) * 1e3 for one in self.counted], 0.99)
        if self.plan.open_loop and lag_ms > _MOST_LAG_MS:
            found.append(
                f"99 % of requests were sent within {lag_ms:.1f} ms, not 1 ms, of their time"
            )
        if self.capacity_qps < _SPARE * self.plan.rate_qps:
            found.append(
                f"the client alone sends {self.capacity_qps:.0f} a second, less than {_SPARE:g} x "
                f"the {self.plan.rate_qps:g} offered"
            )
        if drifts(self.latencies_ms):
            found.append("the medians of the two halves differ by a fifth or more")
        return found


@dataclass(frozen=True)
class LoadResult:
    """All that `benchmarks load` measured."""

    format: int
    machine: Machine
    model_hash: str
    numeric_path: str
    runs: tuple[LoadRun, ...]


def percentiles(values_ms: Sequence[float]) -> dict[str, float]:
    """Those that the sample supports: at least ten values lie beyond each."""
    return {
        f"p{percent:g}": float(np.percentile(values_ms, percent))
        for percent in _PERCENTILES
        if len(values_ms) * (100 - percent) / 100 >= _BEYOND
    }


def drifts(values_ms: Sequence[float]) -> bool:
    """Whether the second half is another machine than the first, or a queue that still grows."""
    half = len(values_ms) // 2
    if half < _BEYOND:
        return False
    first, second = np.median(values_ms[:half]), np.median(values_ms[half:])
    return bool(abs(second - first) >= _DRIFT * max(first, second))
