"""Rank correlation of scores and grades."""

from __future__ import annotations

import math

import numpy as np
from scipy.stats import rankdata

from rerank_core.measures.beir import Judgments
from rerank_core.measures.mixed import mixed
from rerank_core.measures.ranking import Run


def spearman(judgments: Judgments, run: Run) -> dict[str, float]:
    """Spearman's rho between grades and scores, of every query with mixed grades, -1..1.

    Ties share their mean rank. A document that the run lacks stands below all others; a query
    that the run missed, or gave one score throughout, is 0. Spearman 1904.
    """
    values = {}
    for query, grades in mixed(judgments).items():
        scores = run.get(query, {})
        grade = rankdata(list(grades.values()))
        score = rankdata([scores.get(name, -math.inf) for name in grades])
        if np.ptp(score) == 0:
            values[query] = 0.0
            continue
        values[query] = float(np.corrcoef(grade, score)[0, 1])
    return values
