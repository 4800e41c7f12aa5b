"""A test collection: products, queries and judgments out of a BEIR folder."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rerank_core.errors import InputError
from rerank_core.measures import BeirFolder, Scale, mixed


@dataclass(frozen=True)
class Collection:
    """What the walk-through searches and measures on: queries whose products differ in grade."""

    folder: Path
    split: str
    products: Mapping[str, Mapping[str, Any]]
    queries: Mapping[str, str]
    """Those of the split with at least two different grades, in the file's order."""
    judgments: Mapping[str, Mapping[str, float]]
    """Of these queries, on products of the catalogue."""
    scale: Scale
    """From the least to the highest grade of the whole split."""
    strangers: int
    """Judgments on products that the catalogue lacks; they are left out."""


def read_collection(folder: Path, split: str) -> Collection:
    """The collection in a BEIR folder.

    Raises `ConfigError` for a file that is not there, and `InputError` for a row that cannot be
    read, and where no query has products of different grades.
    """
    beir = BeirFolder(folder)
    products, queries, judgments = beir.products(), beir.queries(), beir.judgments(split)
    known = {
        query: {product: grade for product, grade in grades.items() if product in products}
        for query, grades in judgments.items()
    }
    unasked = sorted(known.keys() - queries.keys())
    if unasked:
        raise InputError(
            f"qrels/{split}.tsv", f"judges query {unasked[0]!r}, which queries.jsonl lacks"
        )
    measured = mixed(known)
    if not measured:
        raise InputError(
            f"qrels/{split}.tsv", "no query has products of two different grades to tell apart"
        )
    all_grades = [grade for grades in judgments.values() for grade in grades.values()]
    return Collection(
        folder=folder,
        split=split,
        products=products,
        queries={name: text for name, text in queries.items() if name in measured},
        judgments=measured,
        scale=Scale(min(all_grades), max(all_grades)),
        strangers=len(all_grades) - sum(len(grades) for grades in known.values()),
    )
