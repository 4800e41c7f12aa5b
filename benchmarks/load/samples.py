"""What became of each request, and what a run of them is worth."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
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
_BATCHES = 10
_UNSTABLE = 0.10
_DRIFTS = "the medians of the two halves differ by a fifth or more"


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
    body: int = 0
    """Which of the run's requests it was."""
    scored: int = 0
    """Candidates that the answer gave a score."""
    engine_ms: float = 0.0
    """What the answer says of queueing, tokenising and scoring; 0 over HTTP, which does not."""

    @property
    def latency_ms(self) -> float:
        """From the intended time, queueing at the client included."""
        return (self.done_s - self.intended_s) * 1e3

    @property
    def service_ms(self) -> float:
        """From when it was really sent."""
        return (self.done_s - self.sent_s) * 1e3

    @property
    def lag_ms(self) -> float:
        """How late it was sent."""
        return (self.sent_s - self.intended_s) * 1e3


@dataclass(frozen=True)
class LoadRun:
    """One offered load, all samples of it, the warm-up too."""

    plan: LoadPlan
    capacity_qps: float
    """What this client sends and reads at most, against a server that does nothing."""
    samples: tuple[Sample, ...]
    began_s: float = 0.0
    """When its seconds began, of the machine's `time.perf_counter`."""
    slices: tuple[LoadRun, ...] = ()
    """Of a run in slices, those."""

    @cached_property
    def counted(self) -> tuple[Sample, ...]:
        """Those intended after the warm-up."""
        return tuple(one for one in self.samples if one.intended_s >= self.plan.warm_up_s)

    @cached_property
    def answered(self) -> tuple[Sample, ...]:
        """Those counted that have an answer, whole or not, in the order of their intended times."""
        return tuple(
            sorted(
                (one for one in self.counted if one.outcome != "error"),
                key=lambda one: one.intended_s,
            )
        )

    @property
    def latencies_ms(self) -> list[float]:
        """From the intended time, of all answers."""
        return [one.latency_ms for one in self.answered]

    @property
    def full_ms(self) -> list[float]:
        """Latencies of the whole answers: how many are shed must not look like a drift."""
        return [one.latency_ms for one in self.answered if one.outcome == "full"]

    @property
    def service_ms(self) -> list[float]:
        """From when they were really sent."""
        return [one.service_ms for one in self.answered]

    @property
    def reached_qps(self) -> float:
        """Requests a second that were counted: of a closed loop, what its callers came to."""
        return len(self.counted) / self.plan.counted_s

    @property
    def goodput_qps(self) -> float:
        """Answers reranked whole and in time that came within the counted seconds, a second.

        By when they came, so that a queue that is worked off afterwards adds nothing.
        """
        if self.slices:
            seconds = [one.plan.counted_s for one in self.slices]
            done = sum(one.goodput_qps * s for one, s in zip(self.slices, seconds, strict=True))
            return done / sum(seconds)
        in_time = [
            one
            for one in self.samples
            if one.outcome == "full"
            and one.latency_ms <= self.plan.budget_ms
            and self.plan.warm_up_s <= one.done_s < self.plan.duration_s
        ]
        return len(in_time) / self.plan.counted_s

    @property
    def outcomes(self) -> Counter[str]:
        """Of the counted."""
        return Counter(one.outcome for one in self.counted)

    @property
    def details(self) -> Counter[str]:
        """Reasons of the counted that are less than all."""
        return Counter(one.detail for one in self.counted if one.detail)

    @property
    def lag_p99_ms(self) -> float:
        """How late 99 % of the counted were sent at most."""
        return float(np.quantile([one.lag_ms for one in self.counted], 0.99))

    def faults(self) -> list[str]:
        """Why its figures are not to be believed; none is a valid run."""
        found = []
        if not self.counted:
            return ["no request was sent after the warm-up"]
        if self.plan.open_loop and self.lag_p99_ms > _MOST_LAG_MS:
            found.append(
                f"99 % of requests were sent within {self.lag_p99_ms:.1f} ms, not 1 ms, "
                "of their time"
            )
        offered_qps = self.plan.rate_qps if self.plan.open_loop else self.reached_qps
        if self.capacity_qps < _SPARE * offered_qps:
            found.append(
                f"the client alone sends {self.capacity_qps:.0f} a second, less than {_SPARE:g} x "
                f"the {offered_qps:.3g} offered"
            )
        # Where the queue is bounded it fills within a slice, and cannot grow for long.
        if not self.plan.bounded and self._drifts:
            found.append(_DRIFTS)
        return found

    def warnings(self) -> list[str]:
        """What makes its figures less certain than their number suggests."""
        found = [_DRIFTS] if self.plan.bounded and self._drifts else []
        varied = instability(self.full_ms)
        if varied >= _UNSTABLE:
            found.append(f"unstable: medians of ten consecutive batches vary by {varied:.0%}")
        return found

    @cached_property
    def _drifts(self) -> bool:
        return drifts([one.full_ms for one in self.slices] or [self.full_ms])


def pooled(slices: Sequence[LoadRun]) -> LoadRun:
    """Slices of one load, taken apart in time, as one run; each loses its own warm-up."""
    first = slices[0]
    plan = first.plan.counting(sum(one.plan.counted_s for one in slices))
    samples = []
    begin_s = plan.warm_up_s
    for one in slices:
        shift_s = begin_s - one.plan.warm_up_s
        samples += [
            replace(
                sample,
                intended_s=sample.intended_s + shift_s,
                sent_s=sample.sent_s + shift_s,
                done_s=sample.done_s + shift_s,
            )
            for sample in one.counted
        ]
        begin_s += one.plan.counted_s
    capacity_qps = min(one.capacity_qps for one in slices)
    return LoadRun(plan, capacity_qps, tuple(samples), slices=tuple(slices))


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


def drifts(slices_ms: Sequence[Sequence[float]]) -> bool:
    """Whether the second halves are another machine than the first, or a queue that still grows."""
    first_ms = [one for values in slices_ms for one in values[: len(values) // 2]]
    second_ms = [one for values in slices_ms for one in values[len(values) // 2 :]]
    if len(first_ms) < _BEYOND:
        return False
    first, second = np.median(first_ms), np.median(second_ms)
    return bool(abs(second - first) >= _DRIFT * max(first, second))


def instability(values_ms: Sequence[float]) -> float:
    """Standard deviation by mean of the medians of ten consecutive batches; 0 for a few values.

    Arrivals at random spread latencies by themselves, so single values say nothing about the
    machine's moods; medians of batches do.
    """
    if len(values_ms) < _BATCHES * _BEYOND:
        return 0.0
    medians = [float(np.median(batch)) for batch in np.array_split(np.array(values_ms), _BATCHES)]
    mean = float(np.mean(medians))
    return float(np.std(medians)) / mean if mean else 0.0
