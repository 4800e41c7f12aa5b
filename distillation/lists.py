"""Lists of products of one query with their targets, as texts and as tokens."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from rerank_core.errors import InputError
from rerank_core.measures import Judgments, Scale
from rerank_core.text import PackedTokens, ProductTextRecipe, TextEncoder


@dataclass(frozen=True)
class TargetList:
    """A query, its products' texts, and the target of each."""

    query: str
    texts: Sequence[str]
    targets: npt.NDArray[np.float32]
    """Shape ``(products,)``: a share of the scale in 0..1, or a teacher's logit."""


@dataclass(frozen=True)
class TokenList:
    """A `TargetList` as the rows that the student reads."""

    tokens: PackedTokens
    targets: npt.NDArray[np.float32]


def graded_lists(
    queries: Mapping[str, str],
    products: Mapping[str, Mapping[str, Any]],
    judgments: Judgments,
    recipe: ProductTextRecipe,
    scale: Scale,
) -> list[TargetList]:
    """One list a judged query, in the order of the judgments.

    Raises `InputError` as `check_judged`, and for a score off the scale.
    """
    check_judged(queries, products, judgments)
    lists = []
    for query_id, scores in judgments.items():
        targets = [
            scale.share(score, f"query {query_id}, product {name}")
            for name, score in scores.items()
        ]
        texts = [recipe.compose(products[name]) for name in scores]
        lists.append(TargetList(queries[query_id], texts, np.array(targets, np.float32)))
    return lists


def check_judged(
    queries: Mapping[str, str], products: Mapping[str, Mapping[str, Any]], judgments: Judgments
) -> None:
    """Raises `InputError` naming the query where judgments speak of what the data has not."""
    if not judgments:
        raise InputError("judgments", "there are none in this split")
    for query_id, scores in judgments.items():
        if query_id not in queries:
            raise InputError(f"query {query_id}", "is judged but has no text in queries.jsonl")
        if not scores:
            raise InputError(f"query {query_id}", "has no judged products")
        missing = next((name for name in scores if name not in products), None)
        if missing is not None:
            raise InputError(f"query {query_id}", f"product {missing!r} is not in the corpus")


def tokenize(lists: Iterable[TargetList], encoder: TextEncoder) -> list[TokenList]:
    """Every list as tokens, encoded once, exactly as serving encodes it."""
    return [TokenList(encoder.pairs(one.query, one.texts), one.targets) for one in lists]


def in_first_half(query: str) -> bool:
    """Splits queries in two by the hash of their text: the same half in every run."""
    return hashlib.sha256(query.encode()).digest()[0] % 2 == 0


def halves(
    queries: Mapping[str, str], judgments: Judgments
) -> tuple[dict[str, Mapping[str, float]], dict[str, Mapping[str, float]]]:
    """Judgments of the half that choices are made on, and of the half that is reported."""
    select = {name: rows for name, rows in judgments.items() if in_first_half(queries[name])}
    report = {name: rows for name, rows in judgments.items() if name not in select}
    return select, report
