"""What paired rounds of two builds say."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy import stats

Word = Literal["slower", "faster", "no slower", "undecided"]

LEAST_BLOCKS = 8
# Of both intervals together, two-sided. A build that is slower by just the threshold is called
# slower once in two hundred runs at most, so by one of ten such runs in five cases of a hundred
# (1 - .995^10 = .049). Two equal builds are called so less often: they are the threshold away.
_LEVEL = 0.99
_MEASURES = 2


@dataclass(frozen=True)
class Round:
    """One turn of both builds, in the order reference, this, this, reference."""

    reference_ms: tuple[float, float]
    this_ms: tuple[float, float]
    block: int = 0
    """Rounds of one number were answered by the same two processes."""

    @property
    def ratio(self) -> float:
        """Time of this build by time of the reference; a drift within the round cancels."""
        return sum(self.this_ms) / sum(self.reference_ms)


@dataclass(frozen=True)
class Ratio:
    """This build by the reference; above 1 is slower."""

    ratio: float
    low: float
    """Of its interval."""
    high: float


@dataclass(frozen=True)
class Verdict:
    """Two ratios, since a few requests that are much slower leave the median alone."""

    word: Word
    median: Ratio
    """Of the rounds' ratios."""
    mean: Ratio
    """Of summed times."""
    rounds: int
    blocks: int
    threshold: float


def judge(rounds: Sequence[Round], threshold: float) -> Verdict:
    """Slower: one whole interval lies above ``1 + threshold``; no slower: neither reaches above it.

    A block is one observation: processes differ by where their memory and threads come to lie, and
    all rounds of a block share that. Student's t of the logarithms of the blocks' ratios, 99 % for
    both intervals together. Fewer than eight blocks are undecided.
    """
    blocks = [
        list(group)
        for _, group in itertools.groupby(
            sorted(rounds, key=lambda one: one.block), key=lambda one: one.block
        )
    ]
    median = _ratio([float(np.median([one.ratio for one in block])) for block in blocks])
    mean = _ratio([_of_sums(block) for block in blocks])
    return Verdict(
        _word(median, mean, threshold), median, mean, len(rounds), len(blocks), threshold
    )


def _of_sums(block: Sequence[Round]) -> float:
    this = sum(sum(one.this_ms) for one in block)
    return this / sum(sum(one.reference_ms) for one in block)


def _ratio(of_blocks: Sequence[float]) -> Ratio:
    if not of_blocks:
        return Ratio(1.0, 0.0, math.inf)
    logs = np.log(of_blocks)
    middle = float(logs.mean())
    if len(logs) < LEAST_BLOCKS:
        return Ratio(math.exp(middle), 0.0, math.inf)
    beyond = (1 - _LEVEL) / _MEASURES / 2
    t = float(stats.t.ppf(1 - beyond, len(logs) - 1))
    wide = t * float(logs.std(ddof=1)) / math.sqrt(len(logs))
    return Ratio(math.exp(middle), math.exp(middle - wide), math.exp(middle + wide))


def _word(median: Ratio, mean: Ratio, threshold: float) -> Word:
    if max(median.low, mean.low) > 1 + threshold:
        return "slower"
    if max(median.high, mean.high) < 1 / (1 + threshold):
        return "faster"
    if max(median.high, mean.high) <= 1 + threshold:
        return "no slower"
    return "undecided"
