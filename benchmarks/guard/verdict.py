"""What paired rounds of two builds say."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

Word = Literal["slower", "faster", "no slower", "undecided"]

# Two-sided. Ten runs of the same build cry wolf once in two hundred times ten runs at most, and
# less, since the interval must lie beyond the threshold and not beyond 1 alone.
_LEVEL = 0.99
_RESAMPLES = 9999
_LEAST_ROUNDS = 8


@dataclass(frozen=True)
class Round:
    """One turn of both builds, in the order reference, this, this, reference."""

    reference_ms: tuple[float, float]
    this_ms: tuple[float, float]

    @property
    def ratio(self) -> float:
        """Time of this build by time of the reference; a drift within the round cancels."""
        return sum(self.this_ms) / sum(self.reference_ms)


@dataclass(frozen=True)
class Verdict:
    """The median ratio of times, this build by the reference; above 1 is slower."""

    word: Word
    ratio: float
    low: float
    """Of the 99 % bootstrap interval of the median."""
    high: float
    rounds: int
    threshold: float


def judge(rounds: Sequence[Round], threshold: float) -> Verdict:
    """Slower where the whole interval lies above ``1 + threshold``, no slower where below.

    Few rounds (under eight) are undecided: no interval of theirs deserves its name. Percentile
    bootstrap of the median, fixed seed.
    """
    ratios = np.array([one.ratio for one in rounds])
    if len(ratios) < _LEAST_ROUNDS:
        middle = float(np.median(ratios)) if len(ratios) else float("nan")
        return Verdict("undecided", middle, 0.0, float("inf"), len(ratios), threshold)
    random = np.random.default_rng(1)
    drawn = ratios[random.integers(0, len(ratios), (_RESAMPLES, len(ratios)))]
    edges = ((1 - _LEVEL) / 2, (1 + _LEVEL) / 2)
    low, high = (float(one) for one in np.quantile(np.median(drawn, axis=1), edges))
    word: Word = "undecided"
    if low > 1 + threshold:
        word = "slower"
    elif high < 1 / (1 + threshold):
        word = "faster"
    elif high <= 1 + threshold:
        word = "no slower"
    return Verdict(word, float(np.median(ratios)), low, high, len(ratios), threshold)
