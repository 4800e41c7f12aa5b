"""Do two rankers order alike, and is one of them no worse than the other."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy import stats

from rerank_core.errors import InputError
from rerank_core.measures.ranking import Run
from rerank_core.measures.significance import paired_differences


@dataclass(frozen=True)
class Equivalence:
    """Whether a mean difference lies within a margin."""

    difference: float
    margin: float
    p_value: float
    """Of the hypothesis that it does not."""
    queries: int

    @property
    def holds(self) -> bool:
        """At the usual level of .05."""
        return self.p_value < 0.05


def equivalence_test(
    ours: Mapping[str, float], theirs: Mapping[str, float], margin: float
) -> Equivalence:
    """Two one-sided paired t-tests (TOST): p is the larger of both.

    A small p says that the mean difference ours - theirs is within +-`margin`; a large one says
    nothing. Raises `InputError` where the queries differ or there are fewer than two. Schuirmann
    1987.
    """
    differences = np.array(list(paired_differences(ours, theirs).values()))
    if len(differences) < 2:
        raise InputError("queries", f"{len(differences)} say nothing of a spread; give two or more")
    if not differences.any():  # no spread, and the t-test divides by it
        return Equivalence(0.0, margin, 0.0, len(differences))
    above = stats.ttest_1samp(differences, -margin, alternative="greater").pvalue
    below = stats.ttest_1samp(differences, margin, alternative="less").pvalue
    return Equivalence(
        float(differences.mean()), margin, float(max(above, below)), len(differences)
    )


def kendall_tau(ours: Run, theirs: Run) -> dict[str, float]:
    """Kendall's tau-b of two runs over the same documents, by query.

    1: the same order. Queries whose scores are all equal in one of the runs have no tau and are
    left out. Raises `InputError` where queries or documents differ.
    """
    if ours.keys() != theirs.keys():
        raise InputError("queries", "are not the same in both runs")
    taus: dict[str, float] = {}
    for query, scores in ours.items():
        if scores.keys() != theirs[query].keys():
            raise InputError(f"query {query}", "has other documents in the other run")
        names = list(scores)
        tau = stats.kendalltau(
            [scores[name] for name in names], [theirs[query][name] for name in names]
        ).statistic
        if not np.isnan(tau):
            taus[query] = float(tau)
    return taus
