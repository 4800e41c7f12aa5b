"""How many pairs of a query's products stand in the right order."""

from __future__ import annotations

import math

import numpy as np

from rerank_core.measures.beir import Judgments
from rerank_core.measures.mixed import mixed
from rerank_core.measures.ranking import Run


def pairwise_accuracy(judgments: Judgments, run: Run) -> dict[str, float]:
    """Share of the pairs with different grades that the run orders right, of every mixed query.

    A tie of scores counts half. A document that the run lacks stands below all others; a query
    that the run missed is 0. Queries whose products have one grade only are left out.
    """
    values = {}
    for query, grades in mixed(judgments).items():
        scores = run.get(query)
        if not scores:
            values[query] = 0.0
            continue
        grade = np.array(list(grades.values()))
        score = np.array([scores.get(name, -math.inf) for name in grades])
        above = grade[:, None] > grade[None, :]
        right = (score[:, None] > score[None, :]) + 0.5 * (score[:, None] == score[None, :])
        values[query] = float(right[above].mean())
    return values
