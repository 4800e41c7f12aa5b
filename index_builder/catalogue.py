"""A catalogue's rows, one at a time, whatever the file's format."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa

from index_builder.csv_rows import read_csv
from index_builder.jsonl_rows import read_jsonl
from index_builder.parquet_rows import read_parquet
from index_builder.rows import Rows
from rerank_core.compressed import COMPRESSIONS, only_file, open_bytes
from rerank_core.errors import ConfigError

_READERS: dict[str, Callable[[io.BufferedReader, frozenset[str]], Rows]] = {
    ".jsonl": lambda file, _: read_jsonl(file),
    ".csv": lambda file, _: read_csv(file),
    ".parquet": read_parquet,
}


def find_catalogue(path: Path) -> Path:
    """The file to read: `path` itself, or the corpus of a BEIR folder. Raises `ConfigError`."""
    if not path.exists():
        raise ConfigError(f"{path}: no such file or folder")
    if path.is_dir():
        path = only_file(path, "corpus.jsonl")
    _format_of(path)
    return path


def read_catalogue(path: Path, columns: frozenset[str]) -> Rows:
    """Every row in order, a bad one as a `Reject` with the reason.

    `columns` are those that will be looked at: a format that keeps columns apart reads no others.
    Holds a few rows in memory, however long the file is. Raises `ConfigError` for a file that is
    cut off, corrupt, or of no known format.
    """
    read = _READERS[_format_of(path)]
    with open_bytes(path) as file:
        try:
            yield from read(file, columns)
        except pa.ArrowException as error:
            raise ConfigError(f"{path}: cannot be read to its end: {error}") from error
        except ConfigError as error:
            raise ConfigError(f"{path}: {error}") from error


def _format_of(path: Path) -> str:
    suffixes = [suffix.lower() for suffix in path.suffixes[-2:]]
    # Parquet compresses inside, and is read from its end, which a compressed stream cannot do.
    if suffixes and suffixes[-1] in COMPRESSIONS and suffixes[0] != ".parquet":
        suffixes.pop()
    if not suffixes or suffixes[-1] not in _READERS:
        raise ConfigError(
            f"{path}: the name tells no known format; give .jsonl or .csv, plain or with "
            f"{', '.join(COMPRESSIONS)} behind it, or .parquet"
        )
    return suffixes[-1]
