"""Runs of networks and teachers over judged lists, and what they are worth."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from distillation.lists import TokenList
from distillation.student import score
from distillation.teachers.contract import Logits, Pair, Teacher
from rerank_core.measures import Judgments, Scale, ndcg, pairwise_accuracy, spearman
from rerank_core.text import PackedTokens, ProductTextRecipe, TextEncoder

SHARES = Scale(0.0, 1.0)
"""Grades are shares of their scale once the split has read them."""
Run = dict[str, dict[str, float]]
UNREADABLE = -1e9
"""Stands in a run for an answer that could not be read: it ranks last."""

Rows = Callable[[str, Sequence[str]], PackedTokens]
"""A query and texts of products as a network's rows."""


def token_lists(
    judgments: Judgments,
    queries: Mapping[str, str],
    products: Mapping[str, Mapping[str, Any]],
    encoder: TextEncoder,
) -> list[TokenList]:
    """One list a query, in order, exactly as serving encodes it."""
    return lists_of(judgments, queries, products, encoder.recipe, encoder.pairs)


def lists_of(
    judgments: Judgments,
    queries: Mapping[str, str],
    products: Mapping[str, Mapping[str, Any]],
    recipe: ProductTextRecipe,
    rows: Rows,
) -> list[TokenList]:
    """The same for any network's rows."""
    lists = []
    for query, grades in judgments.items():
        texts = [recipe.compose(products[name]) for name in grades]
        targets = np.array(list(grades.values()), np.float32)
        lists.append(TokenList(rows(queries[query], texts), targets))
    return lists


def network_run(
    network: Any, judgments: Judgments, lists: Sequence[TokenList], *, bfloat16: bool
) -> Run:
    """Scores of the judged products."""
    scores = score(network, lists, bfloat16=bfloat16)
    return {
        query: dict(zip(rows, map(float, values), strict=True))
        for (query, rows), values in zip(judgments.items(), scores, strict=True)
    }


Ask = Callable[[Teacher, Sequence[Pair]], Logits]
"""What has a teacher's answers: from the teacher itself, or from a store."""


def asked_directly(teacher: Teacher, pairs: Sequence[Pair]) -> Logits:
    """A teacher's answers, kept nowhere. Raises `ScoringError` where there is not one to each."""
    return teacher.score(pairs).whole().logits


def judged_pairs(
    teacher: Teacher,
    judgments: Judgments,
    queries: Mapping[str, str],
    products: Mapping[str, Mapping[str, Any]],
) -> list[Pair]:
    """The judged pairs, list by list, as the teacher reads them."""
    return [
        Pair(queries[query], teacher.text.compose(products[name]))
        for query, rows in judgments.items()
        for name in rows
    ]


def teacher_run(
    teacher: Teacher,
    judgments: Judgments,
    queries: Mapping[str, str],
    products: Mapping[str, Mapping[str, Any]],
    ask: Ask = asked_directly,
) -> Run:
    """A teacher's scores of the judged products, `UNREADABLE` where it has none."""
    names = [(query, name) for query, rows in judgments.items() for name in rows]
    pairs = judged_pairs(teacher, judgments, queries, products)
    run: Run = {query: {} for query in judgments}
    for (query, name), logit in zip(names, ask(teacher, pairs), strict=True):
        run[query][name] = float(logit) if np.isfinite(logit) else UNREADABLE
    return run


def unreadable(run: Mapping[str, Mapping[str, float]]) -> int:
    """How many answers of a run could not be read."""
    return sum(score == UNREADABLE for rows in run.values() for score in rows.values())


def values(judgments: Judgments, run: Run) -> dict[str, dict[str, float]]:
    """Measure to query to value."""
    return {
        "nDCG@10": ndcg(judgments, run, SHARES),
        "pairwise accuracy": pairwise_accuracy(judgments, run),
        "Spearman": spearman(judgments, run),
    }


def means(judgments: Judgments, run: Run) -> dict[str, float]:
    """Measure to mean over all queries."""
    return {
        name: float(np.mean(list(found.values()))) for name, found in values(judgments, run).items()
    }


def measure_on(
    judgments: Judgments, lists: Sequence[TokenList], *, bfloat16: bool
) -> Callable[[Any], dict[str, float]]:
    """The means of a network's run, for `fit` to choose by."""
    return lambda network: means(
        judgments, network_run(network, judgments, lists, bfloat16=bfloat16)
    )
