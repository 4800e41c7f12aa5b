"""Measures of a run, by query."""

from __future__ import annotations

from collections.abc import Mapping

import ir_measures
from ir_measures import Qrel, ScoredDoc

from benchmarks.quality.collection import Collection
from benchmarks.quality.runs import condensed, cut, ideal
from rerank_core.measures import Judgments, Run, evaluate_funnel, ndcg, ranked

NDCG, CONDENSED, JUDGED = "nDCG@10", "nDCG@10 condensed", "Judged@10"
RECALL, CEILING = "recall@depth", "ceiling of nDCG@10"

Values = Mapping[str, Mapping[str, float]]


def measure(run: Run, collection: Collection) -> Values:
    """Measure to query to value. Unjudged documents: worth nothing, left out, and counted."""
    judgments, scale = collection.judgments, collection.scale
    return {
        **evaluate_funnel(judgments, run, scale).values,
        CONDENSED: ndcg(judgments, condensed(run, judgments), scale),
    }


def measure_candidates(run: Run, collection: Collection, depth: int, least: float | None) -> Values:
    """What a reranker of the best `depth` can work with."""
    candidates, judgments = cut(run, depth), collection.judgments
    return {
        RECALL: recall(judgments, candidates, collection.relevant(least)),
        CEILING: ndcg(judgments, ideal(candidates, judgments), collection.scale),
    }


def recall(judgments: Judgments, run: Run, least: float) -> dict[str, float]:
    """The share of products of grade `least` or more that a run found; queries that have some."""
    qrels = [
        Qrel(query, key, int(grade >= least))
        for query, grades in judgments.items()
        for key, grade in grades.items()
    ]
    relevant = {qrel.query_id for qrel in qrels if qrel.relevance}
    deepest = max((len(found) for found in run.values()), default=0)
    documents = [
        ScoredDoc(query, key, -float(place))
        for query, found in run.items()
        for place, key in enumerate(ranked(found))
    ]
    values = dict.fromkeys(sorted(relevant), 0.0)
    for metric in ir_measures.iter_calc([ir_measures.R @ max(1, deepest)], qrels, documents):
        if metric.query_id in relevant:
            values[metric.query_id] = float(metric.value)
    return values
