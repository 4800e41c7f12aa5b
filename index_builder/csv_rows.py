"""Rows of a CSV file whose first line names the columns."""

from __future__ import annotations

import csv
import io
from collections import deque
from collections.abc import Iterator

from index_builder.jsonl_rows import lines
from index_builder.rows import MOST_ROW_BYTES, Reject, Row, Rows, head_of
from rerank_core.errors import ConfigError

MOST_RECORD_LINES = 1000
"""A description has dozens of lines. What an unclosed quote took is read again, so this also bounds
how often a line is read, however many quotes are broken."""


def read_csv(file: io.BufferedReader) -> Rows:
    """One row a record, which may span lines where it is quoted; all values are strings.

    A record with more or fewer cells than the header or with broken UTF-8 is a `Reject`. Where
    quotes are broken the record's first line is one, and reading goes on at the next line; a quote
    counts as broken, too, where it is not closed within `MOST_RECORD_LINES` and `MOST_ROW_BYTES`.
    Raises `ConfigError` for an unusable header.
    """
    # The limit is one for the whole process and guards nothing that the bounds here do not.
    csv.field_size_limit(max(csv.field_size_limit(), MOST_ROW_BYTES))
    source = _Lines(file)
    records = csv.reader(source, strict=True)
    header = _read_header(records)
    while True:
        source.begin_record()
        try:
            cells = next(records, None)
        except csv.Error as error:
            source.keep_first_line()
            yield Reject(source.begin, None, f"not CSV: {error}", head_of(source.head))
            continue
        if cells is None:
            return
        if cells:
            yield _row(source, header, cells)


class _Lines:
    """Feeds the parser, knows where the record in work begins, and takes lines back."""

    def __init__(self, file: io.BufferedReader) -> None:
        self._unread = lines(file)
        self._taken_back: deque[bytes] = deque()
        self._record: list[bytes] = []
        self._record_bytes = 0
        self.begin = 1

    def begin_record(self) -> None:
        self.begin += len(self._record)
        self._record.clear()
        self._record_bytes = 0

    @property
    def head(self) -> bytes:
        """The first line of the record."""
        return self._record[0]

    def keep_first_line(self) -> None:
        """Ends the record there; the lines behind come again."""
        self._taken_back.extendleft(reversed(self._record[1:]))
        del self._record[1:]

    def __iter__(self) -> _Lines:
        return self

    def __next__(self) -> str:
        line = self._taken_back.popleft() if self._taken_back else next(self._unread)
        self._record.append(line)
        self._record_bytes += len(line)
        if len(self._record) == 1 and self._record_bytes > MOST_ROW_BYTES:
            raise csv.Error(f"a line longer than {MOST_ROW_BYTES} bytes")
        if self._record_bytes > MOST_ROW_BYTES or len(self._record) > MOST_RECORD_LINES:
            raise csv.Error(
                f"a quote is not closed within {MOST_RECORD_LINES} lines and {MOST_ROW_BYTES} bytes"
            )
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
