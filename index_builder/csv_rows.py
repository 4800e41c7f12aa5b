"""Rows of a CSV file whose first line names the columns."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator

from index_builder.jsonl_rows import lines
from index_builder.rows import MOST_ROW_BYTES, Reject, Row, Rows, head_of
from rerank_core.errors import ConfigError


def read_csv(file: io.BufferedReader) -> Rows:
    """One row a record, which may span lines where it is quoted; all values are strings.

    A record with more or fewer cells than the header, with broken quotes or broken UTF-8 is a
    `Reject`, and reading goes on at the next line. Raises `ConfigError` for an unusable header.
    """
    source = _Lines(file)
    records = csv.reader(source, strict=True)
    header = _read_header(records)
    while True:
        source.begin_record()
        try:
            cells = next(records, None)
        except csv.Error as error:
            yield Reject(source.begin, None, f"not CSV: {error}", head_of(source.head))
            continue
        if cells is None:
            return
        if cells:
            yield _row(source, header, cells)


class _Lines:
    """Feeds the parser, and knows where the record in work begins."""

    def __init__(self, file: io.BufferedReader) -> None:
        self._lines = lines(file)
        self._number = 0
        self.begin = 1
        self.head = b""

    def begin_record(self) -> None:
        self.begin = self._number + 1
        self.head = b""

    def __iter__(self) -> _Lines:
        return self

    def __next__(self) -> str:
        line = next(self._lines)
        self._number += 1
        self.head = self.head or line
        if len(line) > MOST_ROW_BYTES:
            raise csv.Error(f"a line longer than {MOST_ROW_BYTES} bytes")
        # Broken bytes become lone surrogates, so that they fail their own row alone.
        return line.decode(errors="surrogateescape")


def _read_header(records: Iterator[list[str]]) -> list[str]:
    try:
        header = next(records, [])
    except csv.Error as error:
        raise ConfigError(
            f"the first line must name the columns; it is not CSV: {error}"
        ) from error
    if not all(header) or len(set(header)) != len(header) or _is_broken(header):
        raise ConfigError(f"the first line must name each column, and each once; it is {header}")
    return header


def _row(source: _Lines, header: list[str], cells: list[str]) -> Row | Reject:
    if _is_broken(cells):
        return Reject(source.begin, None, "not UTF-8", head_of(source.head))
    if len(cells) != len(header):
        reason = f"{len(cells)} cells, the header names {len(header)} columns"
        return Reject(source.begin, None, reason, cells)
    return Row(source.begin, dict(zip(header, cells, strict=True)), sum(map(len, cells)))


def _is_broken(cells: list[str]) -> bool:
    try:
        "".join(cells).encode()
    except UnicodeEncodeError:
        return True
    return False
