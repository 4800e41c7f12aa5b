"""Queries, products and judgments in the BEIR folder layout."""

from __future__ import annotations

import csv
import gzip
import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import IO, Any

from rerank_core.errors import ConfigError, InputError

Judgments = Mapping[str, Mapping[str, float]]
"""Query id to document id to the score a judge gave."""

_CORPUS_NAMES = ("corpus.jsonl.gz", "corpus.jsonl")
_QUERY_NAMES = ("queries.jsonl", "queries.jsonl.gz")


@dataclass(frozen=True)
class BeirFolder:
    """A folder with ``corpus.jsonl(.gz)``, ``queries.jsonl(.gz)`` and ``qrels/<split>.tsv``.

    Every reader raises `ConfigError` for a file that is not there and `InputError`, with file and
    line, for a row that cannot be read.
    """

    path: Path

    def queries(self) -> dict[str, str]:
        """Query id to query text, in the file's order."""
        found = {}
        for where, row in _json_rows(self._first(_QUERY_NAMES)):
            found[_id(row, where)] = _text(row, where)
        return found

    def products(self) -> dict[str, dict[str, Any]]:
        """Product id to its fields, ``_id`` left out, in the file's order."""
        found = {}
        for where, row in _json_rows(self._first(_CORPUS_NAMES)):
            product_id = _id(row, where)
            found[product_id] = {name: value for name, value in row.items() if name != "_id"}
        return found

    def judgments(self, split: str) -> dict[str, dict[str, float]]:
        """The judgments of a split; scores may be fractions, further columns are passed over.

        A pair that is judged more than once has the mean of its scores.
        """
        path = self._first((f"qrels/{split}.tsv",))
        found: dict[str, dict[str, list[float]]] = {}
        with path.open(encoding="utf-8", newline="") as file:
            rows = csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE)
            missing = {"query-id", "corpus-id", "score"} - set(rows.fieldnames or ())
            if missing:
                raise InputError(str(path), f"the header lacks {', '.join(sorted(missing))}")
            for row in rows:
                where = f"{path}:{rows.line_num}"
                scores = found.setdefault(row["query-id"], {})
                scores.setdefault(row["corpus-id"], []).append(_score(row["score"], where))
        return {
            query: {name: fmean(values) for name, values in scores.items()}
            for query, scores in found.items()
        }

    def _first(self, names: tuple[str, ...]) -> Path:
        for name in names:
            if (self.path / name).is_file():
                return self.path / name
        raise ConfigError(f"{self.path}: no {' or '.join(names)}; give a folder in BEIR layout")


def _json_rows(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    with _open(path) as file:
        for number, line in enumerate(file, start=1):
            if not line.strip():
                continue
            where = f"{path}:{number}"
            try:
                row = json.loads(line)
            except ValueError as error:
                raise InputError(where, f"not JSON: {error}") from error
            if not isinstance(row, dict):
                raise InputError(where, "must be one JSON object a line")
            yield where, row


def _open(path: Path) -> IO[str]:
    if path.suffix == ".gz":
        return gzip.open(path, "rt", encoding="utf-8")
    return path.open(encoding="utf-8")


def _id(row: Mapping[str, Any], where: str) -> str:
    value = row.get("_id")
    if not isinstance(value, str) or not value:
        raise InputError(where, "_id must be a string that is not empty")
    return value


def _text(row: Mapping[str, Any], where: str) -> str:
    value = row.get("text")
    if not isinstance(value, str):
        raise InputError(where, "text must be a string")
    return value


def _score(text: str | None, where: str) -> float:
    try:
        score = float(text or "")
    except ValueError as error:
        raise InputError(where, f"score {text!r} is not a number") from error
    if not math.isfinite(score):
        raise InputError(where, f"score {text!r} is not finite")
    return score
