"""Is a difference between two rankers more than chance, and how large may it be."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from rerank_core.errors import InputError

_BLOCK = 500
"""Resamples drawn at once: 500 x 1,000 queries of float64 are 4 MB."""


@dataclass(frozen=True)
class Interval:
    """A mean over queries with its bootstrap percentile interval."""

    mean: float
    low: float
    high: float
    level: float


@dataclass(frozen=True)
class PairedTest:
    """The mean difference of two rankers on the same queries, and how surprising it is."""

    difference: Interval
    p_value: float
    queries: int


def paired_test(
    ours: Mapping[str, float], theirs: Mapping[str, float], *, flips: int = 10_000, seed: int = 0
) -> PairedTest:
    """Two-sided paired randomisation test of the mean difference ours - theirs.

    Under the null each query's two values could have been exchanged: the sign of its difference
    is flipped at random `flips` times. p = (1 + flips at least as far from 0) / (1 + flips), so
    that it is never 0. Raises `InputError` where the queries differ or there are none. Smucker,
    Allan and Carterette 2007.
    """
    differences = paired_differences(ours, theirs)
    values = _array(differences)
    observed = abs(values.mean())
    random = np.random.default_rng(seed)
    as_far = 0
    for size in _blocks(flips):
        signs = random.integers(0, 2, (size, len(values)), np.int8) * 2.0 - 1.0
        # A sum taken in another order differs in its last bits; equal must count as equal.
        as_far += int((np.abs(signs @ values) / len(values) >= observed - 1e-12).sum())
    return PairedTest(
        difference=bootstrap(differences, seed=seed),
        p_value=(1 + as_far) / (1 + flips),
        queries=len(values),
    )


def paired_differences(ours: Mapping[str, float], theirs: Mapping[str, float]) -> dict[str, float]:
    """Ours - theirs by query. Raises `InputError` where the queries differ."""
    if ours.keys() != theirs.keys():
        odd = sorted(ours.keys() ^ theirs.keys())
        raise InputError("queries", f"measured on one side only: {', '.join(odd[:5])}")
    return {query: value - theirs[query] for query, value in ours.items()}


def bootstrap(
    values: Mapping[str, float], *, level: float = 0.95, resamples: int = 10_000, seed: int = 0
) -> Interval:
    """The mean over queries and its percentile interval from queries drawn with replacement.

    Raises `InputError` where there are no queries. Efron 1979.
    """
    array = _array(values)
    random = np.random.default_rng(seed)
    means = [
        array[random.integers(0, len(array), (size, len(array)))].mean(axis=1)
        for size in _blocks(resamples)
    ]
    low, high = np.quantile(np.concatenate(means), [(1 - level) / 2, (1 + level) / 2])
    return Interval(float(array.mean()), float(low), float(high), level)


def _array(values: Mapping[str, float]) -> npt.NDArray[np.float64]:
    if not values:
        raise InputError("queries", "there are none to take a mean over")
    # In the order of ids, so that a seed gives the same draw whatever order a dictionary has.
    return np.array([values[query] for query in sorted(values)], np.float64)


def _blocks(total: int) -> list[int]:
    whole, rest = divmod(total, _BLOCK)
    return [_BLOCK] * whole + ([rest] if rest else [])
