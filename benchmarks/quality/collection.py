"""The judged queries, and what is known of their products."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rerank_core.errors import InputError
from rerank_core.measures import BeirFolder, Judgments, Scale, mixed


@dataclass(frozen=True)
class Collection:
    """Queries whose products differ in grade: any order of the others is perfect."""

    queries: Mapping[str, str]
    judgments: Judgments
    scale: Scale
    products: Mapping[str, Mapping[str, Any]]
    left_out: int
    """Judged queries whose products have all one grade."""

    def relevant(self, least: float | None) -> float:
        """The least grade that counts as relevant; by default what is worth half or more."""
        return (self.scale.floor + self.scale.top) / 2 if least is None else least


def read_collection(folder: Path, split: str) -> Collection:
    """Raises `ConfigError` and `InputError` for what is no BEIR folder with such a split."""
    beir = BeirFolder(folder)
    queries, judgments = beir.queries(), beir.judgments(split)
    if strangers := sorted(judgments.keys() - queries.keys()):
        raise InputError(
            f"qrels/{split}.tsv", f"judges query {strangers[0]!r}, which queries.jsonl lacks"
        )
    grades = [grade for judged in judgments.values() for grade in judged.values()]
    measured = mixed(judgments)
    if not measured:
        raise InputError(f"qrels/{split}.tsv", "no query has products of two different grades")
    return Collection(
        queries={query: queries[query] for query in measured},
        judgments=measured,
        scale=Scale(min(0.0, *grades), max(grades)),
        products=beir.products(),
        left_out=len(judgments) - len(measured),
    )
