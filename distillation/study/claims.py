"""Effects, intervals and p-values of what was claimed before looking."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from rerank_core.errors import InputError
from rerank_core.measures import PairedTest, paired_test

Values = Mapping[str, float]
"""Query to value."""


@dataclass(frozen=True)
class Claim:
    """One claim with its test; `adjusted_p` is Holm's over the claims of a setting."""

    name: str
    text: str
    test: PairedTest
    adjusted_p: float

    @property
    def holds(self) -> bool:
        """The effect is in the claimed direction, and more than chance."""
        return self.test.difference.mean > 0 and self.adjusted_p < 0.05


def mean_over_seeds(runs: Sequence[Values]) -> dict[str, float]:
    """Each query's mean over seeds. Raises `InputError` where their queries differ."""
    if not runs or any(one.keys() != runs[0].keys() for one in runs):
        raise InputError("seeds", "have no queries, or not the same ones")
    return {query: float(np.mean([one[query] for one in runs])) for query in runs[0]}


def slopes(arms: Mapping[int, Values]) -> dict[str, float]:
    """Each query's least-squares slope of its value on log2 of the number of labels."""
    sizes = sorted(arms)
    if len(sizes) < 2:
        raise InputError("sizes", "a slope needs two")
    x = np.array([math.log2(size) for size in sizes])
    x -= x.mean()
    weights = x / (x @ x)
    return {
        query: float(sum(w * arms[size][query] for w, size in zip(weights, sizes, strict=True)))
        for query in arms[sizes[0]]
    }


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's step-down adjustment, in the given order. Holm 1979."""
    order = np.argsort(p_values, kind="stable")
    adjusted, above = [0.0] * len(p_values), 0.0
    for rank, place in enumerate(order):
        above = max(above, min(1.0, (len(p_values) - rank) * p_values[place]))
        adjusted[place] = above
    return adjusted


@dataclass(frozen=True)
class Qualification:
    """Whether what teaches is worth learning from: rule 1 of the plan, on dev-select."""

    over_floor: PairedTest
    over_human: PairedTest
    """Over a student of the same size on the human labels alone."""

    @property
    def passed(self) -> bool:
        """Better than both, each by more than chance; else the claims are void."""
        tests = (self.over_floor, self.over_human)
        return all(test.difference.mean > 0 and test.p_value < 0.05 for test in tests)


def qualification(teacher: Values, floor: Values, human: Values) -> Qualification:
    """The teacher against the cosine and against A, on per-query means over seeds."""
    return Qualification(paired_test(teacher, floor), paired_test(teacher, human))


def control(largest: Values, shuffled: Values) -> PairedTest:
    """Rule 3: what the largest C has over the same labels, shuffled within each list.

    Not above chance, and the claims rest on something else than the labels.
    """
    return paired_test(largest, shuffled)


def claims(teacher: Values, human: Values, curve: Mapping[int, Values]) -> list[Claim]:
    """P1, P2 and P3 of the plan on per-query means over seeds."""
    largest = curve[max(curve)]
    zero = dict.fromkeys(largest, 0.0)
    tests = [
        ("P1", "the largest C exceeds its teacher", paired_test(largest, teacher)),
        ("P2", "nDCG@10 grows with log2 of the labels", paired_test(slopes(curve), zero)),
        ("P3", "the largest C exceeds A", paired_test(largest, human)),
    ]
    adjusted = holm([test.p_value for _, _, test in tests])
    return [
        Claim(name, text, test, p) for (name, text, test), p in zip(tests, adjusted, strict=True)
    ]
