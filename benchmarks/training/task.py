"""What both train on: lists of products of one length of list, with a teacher's logits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from distillation.lists import TargetList, check_judged
from distillation.teachers.contract import Pair
from distillation.teachers.cosine import CosineTeacher
from rerank_core.errors import ConfigError
from rerank_core.measures import BeirFolder, Judgments, mixed, pairwise_accuracy
from rerank_core.text import ProductTextRecipe

LIST_PRODUCTS = 8
LISTS_A_STEP = 8
TEXT = ProductTextRecipe(
    ("title", "brand", "color", "category", "text"), query_tokens=32, product_tokens=64
)


Scores = Sequence[npt.NDArray[np.float32]]
"""One array a list, in order."""


@dataclass(frozen=True)
class Judged:
    """Lists that a trained network is judged by: people's grades beside the teacher's logits."""

    lists: list[TargetList]
    grades: Judgments
    """In the order of the lists."""

    def pairwise_accuracy(self, scores: Scores) -> float:
        """Mean over queries of the share of products of two grades in the right order."""
        run = {
            query: dict(zip(rows, map(float, found), strict=True))
            for (query, rows), found in zip(self.grades.items(), scores, strict=True)
        }
        return float(np.mean(list(pairwise_accuracy(self.grades, run).values())))

    def margin_error(self, scores: Scores) -> float:
        """The loss on these lists: squared errors of all margins to the teacher's."""
        residuals = [found - one.targets for found, one in zip(scores, self.lists, strict=True)]
        return float(np.mean([2 * np.var(r, ddof=1) for r in residuals if len(r) > 1]))


@dataclass(frozen=True)
class Task:
    """Lists to learn from and lists to judge by; no query is in both."""

    learned: list[TargetList]
    judged: Judged


def read_task(folder: Path, *, steps: int, judged_queries: int) -> Task:
    """A BEIR folder's judged lists, labelled with ten times the cosine of all-MiniLM-L6-v2.

    Learned are lists of exactly `LIST_PRODUCTS` products of train, so that every step of either
    side holds the same number of pairs; judged is dev. Raises `ConfigError` where too few have.
    """
    data = BeirFolder(folder)
    queries, products = data.queries(), data.products()
    train, dev = data.judgments("train"), mixed(data.judgments("dev"))
    for judgments in (train, dev):
        check_judged(queries, products, judgments)
    cut = {
        query: dict(islice(grades.items(), LIST_PRODUCTS))
        for query, grades in train.items()
        if len(grades) >= LIST_PRODUCTS
    }
    wanted = steps * LISTS_A_STEP
    if len(cut) < wanted:
        raise ConfigError(
            f"{folder}: {len(cut)} train queries have {LIST_PRODUCTS} products, {steps} steps need "
            f"{wanted}; give fewer --steps"
        )
    chosen = dict(islice(cut.items(), wanted))
    some = dict(islice(dev.items(), judged_queries))
    return Task(
        learned=_labelled(chosen, queries, products),
        judged=Judged(_labelled(some, queries, products), some),
    )


def _labelled(
    judgments: Judgments, queries: dict[str, str], products: dict[str, dict[str, Any]]
) -> list[TargetList]:
    teacher = CosineTeacher("minilm", TEXT)
    texts = {q: [TEXT.compose(products[p]) for p in rows] for q, rows in judgments.items()}
    pairs = [Pair(queries[q], text) for q, found in texts.items() for text in found]
    logits = iter(teacher.score(pairs).logits)
    return [
        TargetList(queries[q], found, np.array(list(islice(logits, len(found))), np.float32))
        for q, found in texts.items()
    ]
