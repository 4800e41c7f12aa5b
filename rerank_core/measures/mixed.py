"""The queries that can tell rankers apart."""

from __future__ import annotations

from collections.abc import Mapping

from rerank_core.measures.beir import Judgments


def mixed(judgments: Judgments) -> dict[str, Mapping[str, float]]:
    """The queries with at least two different grades: any order of the others is perfect."""
    return {query: scores for query, scores in judgments.items() if len(set(scores.values())) > 1}
