"""Queries, products and judgments in the BEIR folder layout."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

from rerank_core.compressed import only_file, open_bytes
from rerank_core.errors import InputError

Judgments = Mapping[str, Mapping[str, float]]
"""Query id to document id to the score a judge gave."""

_JUDGMENT = ("query-id", "corpus-id", "score")


@dataclass(frozen=True)
class BeirFolder:
    """A folder with ``corpus.jsonl``, ``queries.jsonl`` and ``qrels/<split>.tsv``.

    Each plain, or compressed as .gz, .bz2 or .zst. Every reader raises `ConfigError` for a file
    that is not there, is there twice, or is cut off, and `InputError`, with file and line, for a
    row that cannot be read.
    """

    path: Path

    def queries(self) -> dict[str, str]:
        """Query id to query text, in the file's order; an id names one query."""
        found: dict[str, str] = {}
        for where, row in _json_rows(only_file(self.path, "queries.jsonl")):
            query_id = _id(row, where)
            if query_id in found:
                raise InputError(where, f"_id {query_id!r} names a query above already")
            found[query_id] = _text(row, where)
        return found

    def products(self) -> dict[str, dict[str, Any]]:
        """Product id to its fields, ``_id`` left out, in the file's order."""
        found = {}
        for where, row in _json_rows(only_file(self.path, "corpus.jsonl")):
            product_id = _id(row, where)
            found[product_id] = {name: value for name, value in row.items() if name != "_id"}
        return found

    def judgments(self, split: str) -> dict[str, dict[str, float]]:
        """The judgments of a split; scores may be fractions, further columns are passed over.

        A pair that is judged more than once has the mean of its scores.
        """
        found: dict[str, dict[str, list[float]]] = {}
        for where, row in _tab_rows(only_file(self.path, f"qrels/{split}.tsv")):
            query, product, score = (row.get(column) for column in _JUDGMENT)
            if not query or not product:
                raise InputError(where, "query-id and corpus-id must not be empty")
            found.setdefault(query, {}).setdefault(product, []).append(_score(score, where))
        return {
            query: {name: fmean(values) for name, values in scores.items()}
            for query, scores in found.items()
        }


def _tab_rows(path: Path) -> Iterator[tuple[str, dict[str, str]]]:
    """Rows by the header's names, without the cells that a short row lacks."""
    rows = ((where, line.rstrip("\r\n").split("\t")) for where, line in _lines(path))
    _, header = next(rows, ("", []))
    if missing := set(_JUDGMENT) - set(header):
        raise InputError(str(path), f"the header lacks {', '.join(sorted(missing))}")
    for where, cells in rows:
        if cells != [""]:
            yield where, dict(zip(header, cells, strict=False))


def _json_rows(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    for where, line in _lines(path):
        if line.isspace():
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise InputError(where, f"not JSON: {error}") from error
        if not isinstance(row, dict):
            raise InputError(where, "must be one JSON object a line")
        yield where, row


def _lines(path: Path) -> Iterator[tuple[str, str]]:
    with open_bytes(path) as file:
        for number, line in enumerate(file, start=1):
            where = f"{path}:{number}"
            try:
                text = line.decode()
            except UnicodeDecodeError as error:
                raise InputError(where, f"not UTF-8 at byte {error.start + 1}") from error
            yield where, text


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
