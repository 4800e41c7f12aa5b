"""Two result files of the suite: what changed, and whether that is more than chance."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
from scipy import stats

from benchmarks.points import Point, SuiteResult
from rerank_core.errors import ConfigError

Word = Literal["slower", "faster", "same", "too few"]

# What of a point is compared: the first of these that it has. Lower is better.
_SERIES = ("latency_ms", "service_ms", "serving_ms")
# Samples of one run depend on each other: a request that waits makes the next one wait. Medians of
# consecutive batches do so much less, so they are what is tested.
_BATCHES = 20
_LEAST_BATCHES = 5
_ALPHA = 0.05
_RESAMPLES = 4999


@dataclass(frozen=True)
class Change:
    """One point in both files."""

    scenario: str
    point: str
    series: str
    before_ms: float
    after_ms: float
    ratio: float
    """Of medians, after by before; above 1 is slower."""
    low: float
    """Of the 95 % bootstrap interval of the ratio."""
    high: float
    p_value: float
    """Two-sided Mann-Whitney on batch medians, times the tests made (Holm)."""
    word: Word


def changes(before: SuiteResult, after: SuiteResult, threshold: float) -> list[Change]:
    """A point that both have, a change. Slower or faster where significant and beyond `threshold`.

    Raises `ConfigError` where nothing can be compared: another processor, or no common point.
    """
    here, there = before.machine, after.machine
    if (here.processor, here.cores) != (there.processor, there.cores):
        raise ConfigError(
            f"measured on {here.processor} x {here.cores} and on {there.processor} x "
            f"{there.cores}; times of two machines do not compare"
        )
    found = list(_tested(before, after))
    if not found:
        raise ConfigError("the files have no scenario with the same point in common")
    corrected = holm([one.p_value for one in found])
    return [_judged(one, p_value, threshold) for one, p_value in zip(found, corrected, strict=True)]


def holm(p_values: Sequence[float]) -> list[float]:
    """Each p-value times the tests left when it is looked at, smallest first. Holm 1979."""
    corrected = [0.0] * len(p_values)
    most = 0.0
    for rank, place in enumerate(np.argsort(p_values)):
        most = max(most, min(1.0, (len(p_values) - rank) * p_values[place]))
        corrected[place] = most
    return corrected


def batch_medians(values: Sequence[float]) -> npt.NDArray[np.float64]:
    """Medians of up to twenty consecutive batches; of few values, the values."""
    array = np.asarray(values, np.float64)
    if len(array) <= 2 * _BATCHES:
        return array
    return np.array([np.median(batch) for batch in np.array_split(array, _BATCHES)])


def _tested(before: SuiteResult, after: SuiteResult) -> Iterator[Change]:
    for scenario in before.scenarios:
        other = after.scenario(scenario.name)
        by_name = {point.name: point for point in other.points} if other else {}
        for point in scenario.points:
            series = next((name for name in _SERIES if point.series.get(name)), None)
            same = by_name.get(point.name)
            if series is not None and same is not None and same.series.get(series):
                yield _change(scenario.name, point, same, series)


def _change(scenario: str, before: Point, after: Point, series: str) -> Change:
    old, new = (batch_medians(one.series[series]) for one in (before, after))
    random = np.random.default_rng(1)

    def medians(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        drawn = values[random.integers(0, len(values), (_RESAMPLES, len(values)))]
        return np.asarray(np.median(drawn, axis=1))

    low, high = np.quantile(medians(new) / medians(old), (0.025, 0.975))
    first, last = float(np.median(old)), float(np.median(new))
    p_value = float(stats.mannwhitneyu(old, new).pvalue)
    few = min(len(old), len(new)) < _LEAST_BATCHES
    return Change(
        scenario,
        before.name,
        series,
        first,
        last,
        last / first,
        float(low),
        float(high),
        1.0 if few else p_value,
        "too few" if few else "same",
    )


def _judged(change: Change, p_value: float, threshold: float) -> Change:
    word = change.word
    if word == "same" and p_value < _ALPHA:
        if change.ratio > 1 + threshold:
            word = "slower"
        elif change.ratio < 1 / (1 + threshold):
            word = "faster"
    return Change(
        change.scenario,
        change.point,
        change.series,
        change.before_ms,
        change.after_ms,
        change.ratio,
        change.low,
        change.high,
        p_value,
        word,
    )
