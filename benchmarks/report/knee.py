"""The knee of a curve of latency against load."""

from __future__ import annotations

from benchmarks.points import Point, Scenario

# Of requests, whole and in time.
_KEPT = 0.99


def loads(scenario: Scenario, loop: str = "open") -> list[Point]:
    """Points of one kind of loop, by offered load."""
    found = [one for one in scenario.points if one.factors["loop"] == loop]
    return sorted(found, key=lambda one: one.figures["offered_qps"])


def kept_share(point: Point) -> float:
    """Of the counted requests, those that were reranked whole and in time."""
    reached = point.figures["reached_qps"]
    return point.figures["goodput_qps"] / reached if reached else 0.0


def knee(scenario: Scenario) -> Point | None:
    """The largest load up to which 99 % are reranked whole and in time; None where none is."""
    found = None
    for point in loads(scenario):
        if kept_share(point) < _KEPT:
            break
        found = point
    return found


def best_goodput(scenario: Scenario) -> Point:
    """The open loop with the most good answers a second."""
    return max(loads(scenario), key=lambda one: one.figures["goodput_qps"])
