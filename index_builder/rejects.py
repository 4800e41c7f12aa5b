"""The file of rows that are not in the index."""

from __future__ import annotations

import json
import os
import threading
from pathlib import Path
from types import TracebackType
from typing import TextIO

from index_builder.rows import Reject
from rerank_core.errors import ConfigError


def check_rejects_path(path: Path, catalogue: Path) -> None:
    """Raises `ConfigError` where rejects could not be written to `path`, before there is one."""
    if os.path.exists(path) and path.samefile(catalogue):  # noqa: PTH110 - also in a closed folder
        problem = "is the catalogue itself"
    elif os.path.isdir(path):  # noqa: PTH112
        problem = "is a folder"
    elif not os.path.isdir(path.parent):  # noqa: PTH112
        problem = f"no such folder: {path.parent}"
    elif not os.access(path if path.is_file() else path.parent, os.W_OK):
        problem = "cannot be written"
    else:
        return
    raise ConfigError(f"rejects file {path}: {problem}; name another")


class Rejects:
    """Writes rejects as JSONL: line, id, reason, row. No reject, no file.

    Safe to call from several threads; each line is on disk when `add` returns, so that a kill
    loses none.
    """

    def __init__(self, path: Path) -> None:
        """A file at `path` is of an earlier run: entering the context deletes it."""
        self.path = path
        self.count = 0
        self.first: Reject | None = None
        self._lock = threading.Lock()
        self._file: TextIO | None = None

    def add(self, reject: Reject) -> None:
        """Writes one. Raises `ConfigError` where the file cannot be written."""
        line = {"line": reject.line, "id": reject.id, "reason": reject.reason}
        with self._lock:
            try:
                if self._file is None:
                    self._file = self.path.open("w", encoding="utf-8")
                self._file.write(_to_json({**line, "row": reject.row}) + "\n")
                self._file.flush()
            except OSError as error:
                raise ConfigError(f"rejects file {self.path}: {error.strerror}") from error
            self.count += 1
            self.first = self.first or reject

    def close(self) -> None:
        """Closes the file."""
        if self._file is not None:
            self._file.close()

    def __enter__(self) -> Rejects:
        try:
            if self.path.is_file():
                self.path.unlink()
        except OSError as error:
            raise ConfigError(f"rejects file {self.path}: {error.strerror}") from error
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def _to_json(value: dict[str, object]) -> str:
    """JSON of whatever was read: dates and bytes of Parquet as text, broken text escaped."""
    try:
        return json.dumps(value, default=str, allow_nan=False)
    except (ValueError, TypeError, RecursionError):  # NaN, keys that are no strings, deep nesting
        return json.dumps({**value, "row": repr(value["row"])})
