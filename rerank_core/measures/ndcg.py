"""Normalised discounted cumulative gain."""

from __future__ import annotations

import ir_measures
from ir_measures import Qrel, ScoredDoc

from rerank_core.measures.beir import Judgments
from rerank_core.measures.ranking import Run, ranked
from rerank_core.measures.scale import Scale


def ndcg(judgments: Judgments, run: Run, scale: Scale, *, cutoff: int = 10) -> dict[str, float]:
    """nDCG@cutoff of every judged query, with linear gain: a grade is worth its share of the scale.

    DCG = sum of gain / log2(rank + 1), divided by that of the ideal order. Unjudged documents are
    worth 0, a query that the run missed is 0, a query without a gain above 0 is 0. Computed by
    ir-measures on gains in whole percent. Jarvelin and Kekalainen 2002.
    """
    qrels = [
        Qrel(query, name, scale.gain(score, f"query {query}, document {name}"))
        for query, scores in judgments.items()
        for name, score in scores.items()
    ]
    # Scores give way to ranks: the library below would break ties its own way, in 32 bits.
    documents = [
        ScoredDoc(query, name, -float(rank))
        for query, scores in run.items()
        if query in judgments
        for rank, name in enumerate(ranked(scores))
    ]
    values = dict.fromkeys(judgments, 0.0)
    measure = ir_measures.nDCG @ cutoff
    for metric in ir_measures.iter_calc([measure], qrels, documents):
        values[metric.query_id] = float(metric.value)
    return values
