"""Two result files of the suite: what changed, and whether that is more than chance."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from scipy import stats

from benchmarks.points import Point, Scenario, SuiteResult
from benchmarks.report.whole import is_load, kept_of, whole_ms
from rerank_core.errors import ConfigError

Word = Literal["slower", "faster", "worse", "better", "same", "too few", "gone", "faulted"]
REGRESSIONS: tuple[Word, ...] = ("slower", "worse", "gone")

# What of a point without load is compared: the first of these that it has. Lower is better.
_SERIES = ("latency_ms", "service_ms", "serving_ms")
# Samples of one run depend on each other: a request that waits makes the next one wait. Medians of
# consecutive batches do so much less, so they are what is tested.
_BATCHES = 20
_ALPHA = 0.05
# Of shares: two requests in a hundred, whatever the threshold of times is.
_LEAST_SHARE = 0.02
_Z = 1.96
_RESAMPLES = 4999


@dataclass(frozen=True)
class Change:
    """One quantity of one point in both files."""

    scenario: str
    point: str
    of: str
    """Milliseconds of *whole latency*, *service*, *serving*; the *share kept*; *goodput*."""
    before: float
    after: float
    ratio: float
    """After by before."""
    low: float
    """Of the 95 % interval of the ratio."""
    high: float
    p_value: float
    """Two-sided, times the tests made in its scenario (Holm)."""
    word: Word


@dataclass(frozen=True)
class _Test:
    """A change before its word is known."""

    change: Change
    least_p: float
    """Of so many samples, where they could not differ more."""
    worse: Callable[[Change, float], bool]
    better: Callable[[Change, float], bool]
    words: tuple[Word, Word]


def changes(before: SuiteResult, after: SuiteResult, threshold: float) -> list[Change]:
    """What became of each point of `before`, scenario by scenario that both files have.

    Of load points: latency of whole answers (Mann-Whitney on batch medians), share that is whole
    and in time (Fisher), goodput (binomial, as of Poisson counts). Of others: their times. A change
    counts where it is significant after Holm's correction over its scenario, and beyond `threshold`
    (of the share: by more than two in a hundred). A point that vanished or lost its samples is
    gone; one with faults in either file is faulted and decides nothing; too few are those that
    could not differ significantly whatever they were.

    Raises `ConfigError` where nothing can be compared: another processor or numeric path, no common
    scenario, or other data.
    """
    here, there = before.machine, after.machine
    if (here.processor, here.cores) != (there.processor, there.cores):
        raise ConfigError(
            f"measured on {here.processor} x {here.cores} and on {there.processor} x "
            f"{there.cores}; times of two machines do not compare"
        )
    if before.numeric_path != after.numeric_path:
        raise ConfigError(
            f"computed on {before.numeric_path} and on {after.numeric_path}; that is no comparison "
            "of builds; set RERANK_NUMERIC_PATH to one path for both"
        )
    found = []
    for scenario in before.scenarios:
        other = after.scenario(scenario.name)
        if other is not None:
            found += _of_scenario(scenario, other, threshold)
        elif any(one.name == scenario.name for one in after.absent):
            found += [_untested(scenario, point, "gone") for point in scenario.points]
    if not found:
        raise ConfigError("the files have no scenario with points in common")
    return found


def not_asked(before: SuiteResult, after: SuiteResult) -> list[str]:
    """Scenarios that the later file does not have and does not say why."""
    absent = {one.name for one in after.absent}
    names = [one.name for one in before.scenarios if after.scenario(one.name) is None]
    return [name for name in names if name not in absent]


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


def _of_scenario(before: Scenario, after: Scenario, threshold: float) -> list[Change]:
    for name in ("data", "candidates"):
        one, other = getattr(before, name), getattr(after, name)
        if one and other and one != other:
            raise ConfigError(f"{before.name}: {name} {one} and {other} do not compare")
    by_name = {point.name: point for point in after.points}
    tests: list[_Test] = []
    untested = []
    for point in before.points:
        same = by_name.get(point.name)
        if same is None or _emptied(point, same):
            untested.append(_untested(before, point, "gone"))
        elif point.faults or same.faults:
            untested.append(_untested(before, point, "faulted"))
        else:
            tests += _tests(before.name, point, same)
    corrected = holm([one.change.p_value for one in tests])
    # The best that could have come of these samples, all of them as far apart as can be.
    possible = holm([one.least_p for one in tests])
    judged = [
        _judged(one, p_value, least_p, threshold)
        for one, p_value, least_p in zip(tests, corrected, possible, strict=True)
    ]
    return judged + untested


def _emptied(before: Point, after: Point) -> bool:
    if is_load(before):
        return bool(whole_ms(before)) and not whole_ms(after)
    return any(before.series.get(name) and not after.series.get(name) for name in _SERIES)


def _untested(scenario: Scenario, point: Point, word: Word) -> Change:
    nan = math.nan
    return Change(scenario.name, point.name, "", nan, nan, nan, nan, nan, 1.0, word)


def _tests(scenario: str, before: Point, after: Point) -> Iterator[_Test]:
    if is_load(before):
        old, new = whole_ms(before), whole_ms(after)
        if old:
            yield _times(Change(scenario, before.name, "whole latency", *_NOTHING), old, new)
        yield _shares(Change(scenario, before.name, "share kept", *_NOTHING), before, after)
        if "goodput_qps" in before.figures and "goodput_qps" in after.figures:
            yield from _rates(Change(scenario, before.name, "goodput", *_NOTHING), before, after)
        return
    name = next((one for one in _SERIES if before.series.get(one)), None)
    if name is not None:
        change = Change(scenario, before.name, name.removesuffix("_ms"), *_NOTHING)
        yield _times(change, before.series[name], after.series[name])


_NOTHING: tuple[float, float, float, float, float, float, Word] = (0, 0, 1, 0, math.inf, 1, "same")


def _times(change: Change, before: Sequence[float], after: Sequence[float]) -> _Test:
    old, new = batch_medians(before), batch_medians(after)
    random = np.random.default_rng(1)

    def medians(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        drawn = values[random.integers(0, len(values), (_RESAMPLES, len(values)))]
        return np.asarray(np.median(drawn, axis=1))

    low, high = np.quantile(medians(new) / medians(old), (0.025, 0.975))
    first, last = float(np.median(old)), float(np.median(new))
    made = replace(
        change,
        before=first,
        after=last,
        ratio=last / first,
        low=float(low),
        high=float(high),
        p_value=float(stats.mannwhitneyu(old, new).pvalue),
    )
    return _Test(
        made,
        min(1.0, 2 / math.comb(len(old) + len(new), len(old))),
        lambda one, threshold: one.ratio > 1 + threshold,
        lambda one, threshold: one.ratio < 1 / (1 + threshold),
        ("slower", "faster"),
    )


def _shares(change: Change, before: Point, after: Point) -> _Test:
    old, new = kept_of(before), kept_of(after)
    table = np.array([[one.kept, one.requests - one.kept] for one in (old, new)])
    made = replace(
        change,
        before=old.share,
        after=new.share,
        **_log_interval(old.kept, old.requests, new.kept, new.requests, of_all=True),
        p_value=float(stats.fisher_exact(table).pvalue),
    )
    return _Test(
        made,
        1 / math.comb(old.requests + new.requests, old.requests),
        lambda one, _: one.after < one.before - _LEAST_SHARE,
        lambda one, _: one.after > one.before + _LEAST_SHARE,
        ("worse", "better"),
    )


def _rates(change: Change, before: Point, after: Point) -> Iterator[_Test]:
    old_s, new_s = before.figures["counted_s"], after.figures["counted_s"]
    old = round(before.figures["goodput_qps"] * old_s)
    new = round(after.figures["goodput_qps"] * new_s)
    if not old + new:
        return
    # Of Poisson counts, given their sum: how many fall to the later run.
    part = new_s / (old_s + new_s)
    made = replace(
        change,
        before=old / old_s,
        after=new / new_s,
        **_log_interval(old, old_s, new, new_s, of_all=False),
        p_value=float(stats.binomtest(new, old + new, part).pvalue),
    )
    yield _Test(
        made,
        min(part, 1 - part) ** (old + new),
        lambda one, threshold: one.ratio < 1 / (1 + threshold),
        lambda one, threshold: one.ratio > 1 + threshold,
        ("worse", "better"),
    )


def _log_interval(
    old: float, old_of: float, new: float, new_of: float, *, of_all: bool
) -> dict[str, Any]:
    """A ratio of shares (`of_all`) or rates and its 95 % interval on the log scale (Katz).

    Half a count more on both sides, so that none is infinite.
    """
    ratio = ((new + 0.5) / new_of) / ((old + 0.5) / old_of)
    variance = 1 / (new + 0.5) + 1 / (old + 0.5)
    if of_all:
        variance = max(0.0, variance - 1 / (new_of + 0.5) - 1 / (old_of + 0.5))
    wide = math.exp(_Z * math.sqrt(variance))
    return {"ratio": ratio, "low": ratio / wide, "high": ratio * wide}


def _judged(test: _Test, p_value: float, least_p: float, threshold: float) -> Change:
    word: Word = "same"
    if least_p >= _ALPHA:
        word = "too few"
    elif p_value < _ALPHA and test.worse(test.change, threshold):
        word = test.words[0]
    elif p_value < _ALPHA and test.better(test.change, threshold):
        word = test.words[1]
    return replace(test.change, p_value=p_value, word=word)
