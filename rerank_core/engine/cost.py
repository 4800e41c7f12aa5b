"""How long a unit takes: a line through a few units at the start, moved by what is seen since."""

from __future__ import annotations

import heapq
import math
import threading
import time
from collections.abc import Callable, Iterable
from itertools import combinations

import numpy as np
import numpy.typing as npt

from rerank_core.engine.path import NumericPath
from rerank_core.text import PackedTokens

Lengths = npt.NDArray[np.int64]
"""Tokens of each row of a unit."""

# Rows and tokens a row: what the terms need to be told apart, short beside the time that it takes
# to load a model.
_SAMPLE = ((1, 8), (1, 24), (4, 24), (1, 96), (2, 96), (1, 192))
_REPEATS = 2

# Of a unit, about, as paths make them; matters for the constant term alone.
_UNIT_TOKENS = 128

# How much of a surprise is taken over: the last twenty units decide.
_WEIGHT = 0.1
# One unit that was held up by something else must not empty the queue.
_MOST_SURPRISE = 2.5


class CostModel:
    """Milliseconds of a unit: a constant, so much a token, so much a pair of tokens in attention.

    All of it times how much slower the machine is now than when this was measured, which
    `observe` follows. Safe to use from any thread.
    """

    def __init__(self, terms: tuple[float, float, float] = (0.0, 0.0, 0.0)) -> None:
        """`terms` in milliseconds; zeros know nothing, and say 0 for every unit."""
        self.terms = terms
        self.load = 1.0
        """How many times as long as at the start."""
        self._lock = threading.Lock()

    @classmethod
    def measured(
        cls, path: NumericPath, most_tokens: int, clock: Callable[[], float] = time.perf_counter
    ) -> CostModel:
        """A model of this path on this machine, from rows of up to `most_tokens`."""
        sample = [(rows, min(tokens, most_tokens)) for rows, tokens in _SAMPLE]
        units = [PackedTokens.pack([[0] * tokens] * rows) for rows, tokens in sample]
        path.forward(units[-1])  # the first run makes buffers
        taken_ms = np.full(len(units), math.inf)
        for _ in range(_REPEATS):
            for number, unit in enumerate(units):
                began = clock()
                path.forward(unit)
                # The shortest: what came between is not the unit's.
                taken_ms[number] = min(taken_ms[number], (clock() - began) * 1e3)
        return cls(_fit(np.array([_parts(unit.lengths) for unit in units]), taken_ms))

    def unit_ms(self, lengths: Lengths) -> float:
        """What a unit of such rows will take."""
        return self.load * float(_parts(lengths) @ self.terms)

    def request_ms(self, lengths: Lengths) -> float:
        """What rows of such lengths will take in all, in units of an ordinary size."""
        units = -(-int(lengths.sum()) // _UNIT_TOKENS)
        parts = _parts(lengths)
        parts[0] = units
        return self.load * float(parts @ self.terms)

    def observe(self, lengths: Lengths, taken_ms: float) -> None:
        """Learns from a unit that was computed."""
        expected_ms = self.unit_ms(lengths)
        if expected_ms <= 0 or taken_ms <= 0:
            return
        surprise = min(max(taken_ms / expected_ms, 1 / _MOST_SURPRISE), _MOST_SURPRISE)
        with self._lock:
            # Of the mean, not of the median: a sum of units is foretold, the slow among them.
            self.load *= 1 + _WEIGHT * (surprise - 1)


def makespan_ms(units_ms: Iterable[float], workers: int) -> float:
    """When the last of these units is done if `workers` take them in their order."""
    free = [0.0] * workers
    for unit_ms in units_ms:
        heapq.heapreplace(free, free[0] + unit_ms)
    return max(free)


def _parts(lengths: Lengths) -> npt.NDArray[np.float64]:
    return np.array([1.0, lengths.sum(), (lengths * lengths).sum()])


def _fit(
    parts: npt.NDArray[np.float64], taken_ms: npt.NDArray[np.float64]
) -> tuple[float, float, float]:
    """The terms, none below zero, with the least sum of squared relative errors."""
    relative = parts / taken_ms[:, None]
    best: tuple[float, npt.NDArray[np.float64]] | None = None
    terms = range(parts.shape[1])
    for chosen in (list(some) for count in (1, 2, 3) for some in combinations(terms, count)):
        found = np.linalg.lstsq(relative[:, chosen], np.ones(len(parts)))[0]
        error = float(((relative[:, chosen] @ found - 1) ** 2).sum())
        if (found >= 0).all() and (best is None or error < best[0]):
            whole = np.zeros(len(terms))
            whole[chosen] = found
            best = error, whole
    # One positive column alone always has a coefficient above zero.
    constant, a_token, a_pair = best[1].tolist() if best else (0.0, 0.0, 0.0)
    return constant, a_token, a_pair
