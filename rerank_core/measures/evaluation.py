"""A run against judgments under a named protocol: every measure, every query."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import ir_measures
from ir_measures import Qrel, ScoredDoc

from rerank_core.errors import InputError
from rerank_core.measures.beir import Judgments
from rerank_core.measures.mixed import mixed
from rerank_core.measures.ndcg import ndcg
from rerank_core.measures.pairwise import pairwise_accuracy
from rerank_core.measures.ranking import Run, ranked
from rerank_core.measures.scale import Scale
from rerank_core.measures.significance import Interval, bootstrap
from rerank_core.measures.spearman import spearman

Protocol = Literal["judged list", "funnel"]
"""*judged list*: the judged products of a query are reranked, all of them and no others.
*funnel*: what the search returned; unjudged documents are worth 0 and Judged@10 says how many."""


@dataclass(frozen=True)
class Evaluation:
    """Measures of one run on one set, by query."""

    protocol: Protocol
    values: Mapping[str, Mapping[str, float]]
    """Measure name to query id to value."""

    def mean(self, measure: str) -> Interval:
        """The mean over queries, with its bootstrap interval."""
        return bootstrap(self.values[measure])


def evaluate_judged_list(judgments: Judgments, run: Run, scale: Scale) -> Evaluation:
    """nDCG@10, pairwise accuracy and Spearman of a reranked judged list, mixed queries only.

    A query that the run missed is 0. Raises `InputError` where the run holds a document that is not
    judged, or lacks one of a query that it has: both would be another protocol.
    """
    for query, scores in run.items():
        judged = judgments.get(query, {}).keys()
        if strangers := scores.keys() - judged:
            raise InputError(
                f"query {query}", f"{min(strangers)!r} is not judged; the funnel protocol allows it"
            )
        if lost := judged - scores.keys():
            raise InputError(
                f"query {query}", f"{min(lost)!r} is judged and not in the run; rerank all of them"
            )
    kept = mixed(judgments)
    return Evaluation(
        "judged list",
        {
            "nDCG@10": ndcg(kept, run, scale),
            "pairwise accuracy": pairwise_accuracy(kept, run),
            "Spearman": spearman(kept, run),
        },
    )


def evaluate_funnel(judgments: Judgments, run: Run, scale: Scale) -> Evaluation:
    """nDCG@10 and Judged@10 of what a search returned, mixed queries only.

    Low Judged@10 says that nDCG@10 is a lower bound: unjudged is not irrelevant.
    """
    kept = mixed(judgments)
    return Evaluation(
        "funnel", {"nDCG@10": ndcg(kept, run, scale), "Judged@10": _judged(kept, run)}
    )


def _judged(judgments: Judgments, run: Run) -> dict[str, float]:
    qrels = [Qrel(query, name, 0) for query, scores in judgments.items() for name in scores]
    documents = [
        ScoredDoc(query, name, -float(rank))
        for query, scores in run.items()
        if query in judgments
        for rank, name in enumerate(ranked(scores))
    ]
    values = dict.fromkeys(judgments, 0.0)
    for metric in ir_measures.iter_calc([ir_measures.Judged @ 10], qrels, documents):
        values[metric.query_id] = float(metric.value)
    return values
