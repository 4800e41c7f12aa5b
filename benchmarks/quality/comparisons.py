"""Which differences between systems are more than chance."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from benchmarks.quality.figures import CONDENSED, NDCG, Values
from benchmarks.quality.result import Comparison
from rerank_core.measures import PairedTest, paired_test

AFTER = "{}, reranked"


def compare(values: Mapping[str, Values]) -> tuple[Comparison, ...]:
    """Hybrid against each leg, and each before against after its rerank, on both nDCGs.

    `values` are measures by system. Unjudged documents count as worth nothing in one of the two
    measures and are left out in the other: a difference that only one of them shows is not sure.
    """
    pairs = [("hybrid", "lexical"), ("hybrid", "vector")]
    pairs += [(AFTER.format(name), name) for name in ("lexical", "vector", "hybrid")]
    asked = [(ours, theirs, measure) for measure in (NDCG, CONDENSED) for ours, theirs in pairs]
    tests = [paired_test(values[ours][name], values[theirs][name]) for ours, theirs, name in asked]
    corrected = holm([test.p_value for test in tests])
    return tuple(
        _comparison(values, which, test, p_value)
        for which, test, p_value in zip(asked, tests, corrected, strict=True)
    )


def holm(p_values: Sequence[float]) -> list[float]:
    """Each p-value corrected for all of them: below .05 with at most 5 % of any false one.

    The k-th smallest of m is multiplied by m - k + 1, none is below one before it. Holm 1979.
    """
    order = sorted(range(len(p_values)), key=lambda place: p_values[place])
    corrected, least = [0.0] * len(p_values), 0.0
    for step, place in enumerate(order):
        least = max(least, min(1.0, (len(p_values) - step) * p_values[place]))
        corrected[place] = least
    return corrected


def _comparison(
    values: Mapping[str, Values], which: tuple[str, str, str], test: PairedTest, p_value: float
) -> Comparison:
    ours, theirs, measure = which
    mine, other = values[ours][measure], values[theirs][measure]
    return Comparison(
        ours=ours,
        theirs=theirs,
        measure=measure,
        difference=test.difference,
        p_value=test.p_value,
        holm_p_value=p_value,
        better=sum(mine[query] > other[query] for query in mine),
        worse=sum(mine[query] < other[query] for query in mine),
    )
