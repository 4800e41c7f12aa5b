"""A student beside the bi-encoder it came from, on the judged lists of several sets."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from distillation.lists import check_judged, halves
from distillation.publication import JudgedSet
from rerank_core.engine import BiEncoder, CrossEncoder, Engine
from rerank_core.measures import (
    BeirFolder,
    Evaluation,
    Interval,
    Judgments,
    PairedTest,
    Run,
    Scale,
    evaluate_judged_list,
    mixed,
    paired_test,
)
from rerank_core.text import ProductTextRecipe

Scores = npt.NDArray[np.float32]
Scorer = Callable[[str, Sequence[str]], Scores]
"""A query and its products' texts to a score each."""

TITLES = ProductTextRecipe(fields=("title",))
"""What the floors are compared on."""


@dataclass(frozen=True)
class Comparison:
    """One ranker on one set, and the paired test of each measure against the floor."""

    data: str
    ranker: str
    text: str
    """Which text of the product was read: ``titles only`` or ``full recipe``."""
    queries: int
    evaluation: Evaluation
    tests: Mapping[str, PairedTest]
    """Measure to test against the bi-encoder on the same text; empty for that one itself."""

    def means(self) -> dict[str, Interval]:
        """Measure to mean and bootstrap interval."""
        return {measure: self.evaluation.mean(measure) for measure in self.evaluation.values}


def cross_encoder_scorer(engine: Engine, model: CrossEncoder) -> Scorer:
    """Logits as serving computes them."""

    def scores(query: str, texts: Sequence[str]) -> Scores:
        found = np.full(len(texts), np.nan, np.float32)
        for index, logit in engine.submit(model, query, texts):
            found[index] = logit
        return found

    return scores


def cosine_scorer(engine: Engine, model: BiEncoder) -> Scorer:
    """Cosine of query and product vectors."""

    def scores(query: str, texts: Sequence[str]) -> Scores:
        vectors = engine.encode(model, [query, *texts])
        similarity: Scores = vectors[1:] @ vectors[0]
        return similarity

    return scores


def compare(
    root: Path,
    sets: Sequence[JudgedSet],
    student: tuple[Scorer, ProductTextRecipe],
    floor: Scorer,
) -> Iterator[Comparison]:
    """For each set under `root`: the floor and the student, on titles and on the student's recipe.

    Judged list protocol, queries with mixed grades. Where a set's products have a title only, the
    full recipe is the same text and is left out.
    """
    scorer, recipe = student
    for one in sets:
        data = BeirFolder(root / one.folder)
        queries, products = data.queries(), data.products()
        judged: Judgments = data.judgments(one.split)
        check_judged(queries, products, judged)
        if one.reporting_half:
            _, judged = halves(queries, judged)
        judgments = mixed(judged)
        for label, text in (("titles only", TITLES), ("full recipe", recipe)):
            if text is recipe and not _has_more(products, judgments, recipe):
                continue
            base = _evaluate(floor, queries, products, judgments, text, one.scale)
            yield Comparison(one.name, "MiniLM cosine", label, len(judgments), base, {})
            found = _evaluate(scorer, queries, products, judgments, text, one.scale)
            tests = {
                measure: paired_test(values, base.values[measure])
                for measure, values in found.values.items()
            }
            yield Comparison(one.name, "student", label, len(judgments), found, tests)


def _evaluate(
    scorer: Scorer,
    queries: Mapping[str, str],
    products: Mapping[str, Mapping[str, Any]],
    judgments: Judgments,
    text: ProductTextRecipe,
    scale: Scale,
) -> Evaluation:
    run = rank(scorer, queries, products, judgments, text)
    return evaluate_judged_list(judgments, run, scale)


def rank(
    scorer: Scorer,
    queries: Mapping[str, str],
    products: Mapping[str, Mapping[str, Any]],
    judgments: Judgments,
    text: ProductTextRecipe,
) -> Run:
    """Scores of the judged products of each query, read by a recipe."""
    return {
        query: dict(
            zip(
                rows,
                map(float, scorer(queries[query], [text.compose(products[p]) for p in rows])),
                strict=True,
            )
        )
        for query, rows in judgments.items()
    }


def _has_more(
    products: Mapping[str, Mapping[str, Any]], judgments: Judgments, recipe: ProductTextRecipe
) -> bool:
    names = {name for rows in judgments.values() for name in rows}
    return any(recipe.compose(products[name]) != TITLES.compose(products[name]) for name in names)


def summary(comparison: Comparison) -> dict[str, Any]:
    """Means, intervals and tests as plain JSON values, without the values of single queries."""
    return {
        "data": comparison.data,
        "protocol": comparison.evaluation.protocol,
        "queries": comparison.queries,
        "text": comparison.text,
        "ranker": comparison.ranker,
        "means": {measure: asdict(mean) for measure, mean in comparison.means().items()},
        "against_cosine": {measure: asdict(test) for measure, test in comparison.tests.items()},
    }
