"""Rows of a file with one JSON object a line."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator

from index_builder.rows import MOST_ROW_BYTES, Reject, Row, Rows, head_of


def read_jsonl(file: io.BufferedReader) -> Rows:
    """One row a line; blank lines are none. A line that is no JSON object is a `Reject`."""
    for number, line in enumerate(lines(file), start=1):
        if len(line) > MOST_ROW_BYTES:
            yield Reject(number, None, f"longer than {MOST_ROW_BYTES} bytes", head_of(line))
        elif not line.isspace():
            yield parse_line(number, line)


def lines(file: io.BufferedReader) -> Iterator[bytes]:
    """Lines with their ends; of one that is longer than a row may be, its head alone."""
    while line := file.readline(MOST_ROW_BYTES + 1):
        yield line
        while len(line) > MOST_ROW_BYTES and not line.endswith(b"\n"):
            line = file.readline(MOST_ROW_BYTES + 1)


def parse_line(number: int, line: bytes) -> Row | Reject:
    """The row in a line."""
    try:
        value = json.loads(line.rstrip(b"\r\n").decode(), parse_constant=_refuse)
    except UnicodeDecodeError as error:
        return Reject(number, None, f"not UTF-8 at byte {error.start + 1}", head_of(line))
    except (ValueError, RecursionError) as error:
        return Reject(number, None, f"not JSON: {error}", head_of(line))
    if not isinstance(value, dict):
        return Reject(number, None, "not a JSON object", value)
    return Row(number, value, len(line))


def _refuse(constant: str) -> object:
    raise ValueError(f"{constant} is no number")
