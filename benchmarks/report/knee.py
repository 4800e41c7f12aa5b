"""The knee of a curve of latency against load, as far as so many requests can tell it."""

from __future__ import annotations

from dataclasses import dataclass

from benchmarks.points import Point, Scenario
from benchmarks.report.whole import kept_of

# Of requests, whole and in time.
_KEPT = 0.99
_CAPACITY_CALLERS = 4


@dataclass(frozen=True)
class Knee:
    """The load up to which 99 % are whole and in time, between two measured ones."""

    at_least_qps: float | None
    """The largest load at which the whole 95 % interval of the share is at 99 % or more."""
    below_qps: float | None
    """The smallest at which the whole interval is under 99 %."""
    left_out: int
    """Loads with faults, which decide nothing."""

    @property
    def told(self) -> str:
        """In words, rates as they were reached."""
        least, below = self.at_least_qps, self.below_qps
        if least is not None and below is not None:
            found = f"between {least:.1f} and {below:.1f} a second"
        elif least is not None:
            found = f"at least {least:.1f} a second"
        elif below is not None:
            found = f"below {below:.1f} a second"
        else:
            found = "not decided by so few requests"
        return f"{found} ({self.left_out} faulted loads left out)" if self.left_out else found


def loads(scenario: Scenario, loop: str = "open") -> list[Point]:
    """Points of one kind of loop, by offered load; those with faults, too."""
    found = [one for one in scenario.points if one.factors.get("loop") == loop]
    return sorted(found, key=lambda one: one.figures["offered_qps"])


def capacity(scenario: Scenario) -> Point | None:
    """The closed loop of four callers over gRPC: what it reaches is the capacity."""
    return next(
        (
            one
            for one in scenario.points
            if one.factors.get("callers") == _CAPACITY_CALLERS and "surface" not in one.factors
        ),
        None,
    )


def knee(scenario: Scenario) -> Knee:
    """From the loads without faults; more load is taken to keep no more."""
    points = loads(scenario)
    sound = [one for one in points if not one.faults]
    intervals = [(one.figures["reached_qps"], kept_of(one).interval) for one in sound]
    below = min((qps for qps, (_, high) in intervals if high < _KEPT), default=None)
    least = max(
        (
            qps
            for qps, (low, _) in intervals
            if low >= _KEPT and (below is None or qps < below)
        ),
        default=None,
    )  # fmt: skip
    return Knee(least, below, len(points) - len(sound))


def best_goodput(scenario: Scenario) -> Point | None:
    """The open loop without faults that has the most good answers a second; None where none is."""
    sound = [one for one in loads(scenario) if not one.faults]
    return max(sound, key=lambda one: one.figures["goodput_qps"], default=None)
