"""What repeated timings say: medians with their spread, and ratios of timings of one round."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import stats

_RESAMPLES = 4999
_UNSTABLE = 0.10


@dataclass(frozen=True)
class Spread:
    """A median, or mean, over rounds and how far it can be trusted."""

    median: float
    low: float
    """Of the 95 % bootstrap interval of the median (percentiles, fixed seed)."""
    high: float
    least: float
    most: float


def spread(values: Sequence[float], middle: Callable[..., Any] = np.median) -> Spread:
    """The spread of at least one value; of a single one the interval is the value.

    `middle` is what the interval is of.
    """
    least, most, median = min(values), max(values), float(middle(values))
    low = high = median
    if least < most:
        interval = stats.bootstrap(
            (np.asarray(values),),
            middle,
            n_resamples=_RESAMPLES,
            method="percentile",  # the corrected ones are undefined for a median of few values
            rng=np.random.default_rng(1),
        ).confidence_interval
        low, high = float(interval.low), float(interval.high)
    return Spread(median, low, high, least, most)


def quantile(values: Sequence[float], share: float) -> float:
    """The value that this share of the values does not pass, interpolated."""
    return float(np.quantile(values, share))


def ratios(yardstick: Sequence[float], own: Sequence[float]) -> list[float]:
    """How many times faster than the yardstick, round by round: both saw the same machine."""
    return [one / other for one, other in zip(yardstick, own, strict=True)]


def unstable(values: Sequence[float]) -> bool:
    """Whether the standard deviation reaches a tenth of the mean, as pyperf warns."""
    return float(np.std(values)) >= _UNSTABLE * float(np.mean(values))
