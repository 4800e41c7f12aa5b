"""Files that may be compressed: found by name, and read as if they were not."""

from __future__ import annotations

import bz2
import gzip
import importlib
import io
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rerank_core.errors import ConfigError

COMPRESSIONS = (".gz", ".bz2", ".zst")

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_BUFFER_BYTES = 1 << 18


def only_file(folder: Path, name: str) -> Path:
    """`name` in a BEIR folder, plain or compressed.

    Raises `ConfigError` where there is none and where there are two: nobody says which one counts.
    """
    named = [folder / f"{name}{suffix}" for suffix in ("", *COMPRESSIONS)]
    found = [path for path in named if path.is_file()]
    if not found:
        raise ConfigError(f"{folder}: no {name}, plain or compressed; give a folder in BEIR layout")
    if len(found) > 1:
        names = ", ".join(path.name for path in found)
        raise ConfigError(f"{folder}: holds {names}; keep one of them")
    return found[0]


@contextmanager
def open_bytes(path: Path) -> Iterator[io.BufferedReader]:
    """The file's bytes, decompressed, without a byte order mark.

    Raises `ConfigError` where it cannot be opened, and in the block where it is cut off or corrupt.
    """
    try:
        with _open(path) as raw, io.BufferedReader(raw, _BUFFER_BYTES) as file:
            if file.peek(len(_BYTE_ORDER_MARK)).startswith(_BYTE_ORDER_MARK):
                file.read(len(_BYTE_ORDER_MARK))
            yield file
    except (OSError, EOFError, zlib.error) as error:
        raise ConfigError(f"{path}: cannot be read to its end: {error}") from error


def _open(path: Path) -> Any:
    match path.suffix.lower():
        case ".gz":
            return gzip.open(path)
        case ".bz2":
            return bz2.open(path)
        case ".zst":
            return _open_zstd(path)
    return path.open("rb", buffering=0)


def _open_zstd(path: Path) -> Any:
    # Imported where it is needed: who measures rankings may do without it.
    try:
        pyarrow = importlib.import_module("pyarrow")
    except ImportError as error:
        raise ConfigError(
            f"{path}: is read by pyarrow; pip install pyarrow, or unpack it"
        ) from error
    return pyarrow.input_stream(str(path), compression="zstd")
