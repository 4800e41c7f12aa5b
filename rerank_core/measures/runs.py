"""Runs and judgments as TREC files, which every tool of the field reads."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from rerank_core.errors import ConfigError, InputError
from rerank_core.measures.beir import Judgments
from rerank_core.measures.ranking import Run, ranked
from rerank_core.measures.scale import Scale

_WORD = re.compile(r"\S+")


def write_run(run: Run, path: Path, *, tag: str) -> None:
    """Writes ``query Q0 document rank score tag`` lines, ranks from 1, scores exactly.

    Raises `InputError` for an id or tag that is empty or holds white space: the format has no
    quotes.
    """
    _write(
        path,
        (
            f"{_word(query)} Q0 {_word(name)} {rank} {float(scores[name])!r} {_word(tag)}"
            for query, scores in run.items()
            for rank, name in enumerate(ranked(scores), start=1)
        ),
    )


def read_run(path: Path) -> dict[str, dict[str, float]]:
    """The run in a TREC file; order follows from the scores, the rank column is passed over.

    Raises `ConfigError` for a file that cannot be read, `InputError` with the line otherwise.
    """
    run: dict[str, dict[str, float]] = {}
    for where, (query, _, name, _, score, _) in _rows(path, 6):
        _put(run, query, name, _number(score, where), where)
    return run


def write_qrels(judgments: Judgments, path: Path, scale: Scale) -> None:
    """Writes ``query 0 document gain`` lines, the gain in whole percent of the scale.

    TREC tools take whole grades only. Raises `InputError` as `write_run`, and for scores off the
    scale.
    """
    _write(
        path,
        (
            f"{_word(query)} 0 {_word(name)} {scale.gain(score, f'{query} {name}')}"
            for query, scores in judgments.items()
            for name, score in scores.items()
        ),
    )


def read_qrels(path: Path) -> dict[str, dict[str, float]]:
    """The judgments in a TREC file. Raises as `read_run`."""
    judgments: dict[str, dict[str, float]] = {}
    for where, (query, _, name, grade) in _rows(path, 4):
        _put(judgments, query, name, _number(grade, where), where)
    return judgments


def _write(path: Path, lines: Iterable[str]) -> None:
    # Whole or not at all: a bad id half way must not leave a file that looks finished.
    text = "".join(f"{line}\n" for line in lines)
    path.write_text(text, encoding="utf-8")


def _rows(path: Path, columns: int) -> Iterator[tuple[str, list[str]]]:
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise InputError(str(path), f"not UTF-8 at byte {error.start + 1}") from error
    for number, line in enumerate(text.split("\n"), start=1):
        parts = _WORD.findall(line)
        where = f"{path}:{number}"
        if parts and len(parts) != columns:
            raise InputError(where, f"has {len(parts)} columns, {columns} are due")
        if parts:
            yield where, parts


def _word(text: str) -> str:
    if not _WORD.fullmatch(text):
        raise InputError(repr(text), "an id in a TREC file has no white space and is not empty")
    return text


def _number(text: str, where: str) -> float:
    try:
        value = float(text)
    except ValueError as error:
        raise InputError(where, f"{text!r} is not a number") from error
    if not math.isfinite(value):
        raise InputError(where, f"{text!r} is not finite")
    return value


def _put(
    table: dict[str, dict[str, float]], query: str, name: str, value: float, where: str
) -> None:
    row = table.setdefault(query, {})
    if name in row:
        raise InputError(where, f"{name!r} stands twice under query {query!r}")
    row[name] = value
