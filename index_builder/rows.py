"""What a catalogue is read as: rows, and rows that could not be read."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from dataclasses import dataclass
from typing import TypeAlias

MOST_ROW_BYTES = 16 << 20
"""A product is kilobytes; a file without line ends must not be read as one row."""

_SHOWN_BYTES = 1000


@dataclass(frozen=True, slots=True)
class Row:
    """One product as the catalogue has it."""

    line: int
    """Where it begins: the line, from 1; in Parquet the row, from 1."""
    values: Mapping[str, object]
    """By column."""
    size_bytes: int = 0
    """About what it takes in the file, uncompressed."""
    unread: tuple[str, ...] = ()
    """Columns that the catalogue has and nobody asked for."""
    file: str = ""
    """Which of several files it is from."""


@dataclass(frozen=True, slots=True)
class Reject:
    """A row that is not indexed, and why."""

    line: int
    id: str | None
    reason: str
    row: object
    """The row, or the head of what could not be read as one."""
    file: str = ""
    """Which of several files it is from."""
    number: int = 0
    """Of the row in the whole input, from 1; by it a resumed build tells which it has already."""
    error: object = None
    """The cluster's own error, where it is the cluster that refused."""


Rows: TypeAlias = Generator[Row | Reject, None, None]


def head_of(line: bytes) -> str:
    """As much of an unreadable line as helps to find it, its broken bytes in hexadecimal."""
    return line[:_SHOWN_BYTES].decode(errors="backslashreplace").rstrip("\r\n")
