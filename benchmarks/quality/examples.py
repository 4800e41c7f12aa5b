"""Queries that a rerank helped and harmed most, with what stood on top before and after."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from benchmarks.quality.comparisons import AFTER
from benchmarks.quality.figures import NDCG
from benchmarks.quality.run import Measured
from rerank_core.measures import Run, ranked

_SHOWN = 5


@dataclass(frozen=True)
class Line:
    """A product in a list."""

    place: int
    title: str
    grade: float | None
    """None: nobody judged it."""
    share: float
    """Of the scale, 0 to 1; 0 where nobody judged it."""


@dataclass(frozen=True)
class Example:
    """One query."""

    query: str
    change: float
    """Of nDCG@10."""
    before: tuple[Line, ...]
    after: tuple[Line, ...]


def examples(measured: Measured, leg: str, most: int) -> tuple[list[Example], list[Example]]:
    """Wins and losses of the leg's rerank, the largest first, at most `most` each."""
    before, after = (measured.result.system(name).values[NDCG] for name in (leg, AFTER.format(leg)))
    change = {query: after[query] - before[query] for query in before}
    ordered = sorted(change, key=lambda query: (-change[query], query))
    wins = [query for query in ordered[:most] if change[query] > 0]
    losses = [query for query in reversed(ordered[-most:]) if change[query] < 0]
    return (
        [_example(measured, leg, query, change[query]) for query in wins],
        [_example(measured, leg, query, change[query]) for query in losses],
    )


def _example(measured: Measured, leg: str, query: str, change: float) -> Example:
    return Example(
        query=measured.collection.queries[query],
        change=change,
        before=_lines(measured, measured.runs[leg], query),
        after=_lines(measured, measured.runs[AFTER.format(leg)], query),
    )


def _lines(measured: Measured, run: Run, query: str) -> tuple[Line, ...]:
    judged, scale = measured.collection.judgments[query], measured.collection.scale
    lines = []
    for place, key in enumerate(ranked(run[query])[:_SHOWN], start=1):
        grade = judged.get(key)
        share = 0.0 if grade is None else scale.share(grade)
        title = _title(measured.collection.products.get(key, {}), key)
        lines.append(Line(place, title, grade, share))
    return tuple(lines)


def _title(product: Mapping[str, Any], key: str) -> str:
    return str(product.get("title") or product.get("text") or key)
