"""The file of rows that are not in the index."""

from __future__ import annotations

import json
import os
import threading
from pathlib import Path
from types import TracebackType
from typing import TextIO

from index_builder.ids import SeenIds
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

    def __init__(self, path: Path, keep: int = 0, keys: SeenIds | None = None) -> None:
        """A file at `path` is of an earlier run: of it, rows up to number `keep` stay.

        `keys` takes the keys of rejected rows.
        """
        self.path = path
        self.without_key = 0
        """Rows whose key could not be read either."""
        self._keys = keys
        self._keep = keep
        self.count = 0
        self.refused = 0
        """Of these, documents that the cluster refused."""
        self.first: Reject | None = None
        self._lock = threading.Lock()
        self._file: TextIO | None = None

    def add(self, reject: Reject) -> None:
        """Writes one. Raises `ConfigError` where the file cannot be written."""
        line: dict[str, object] = {"file": reject.file} if reject.file else {}
        line |= {"line": reject.line, "id": reject.id, "reason": reject.reason}
        line |= {"number": reject.number} if reject.number else {}
        line |= {"error": reject.error} if reject.error is not None else {}
        with self._lock:
            try:
                if self._file is None:
                    self._file = self.path.open("a", encoding="utf-8")
                self._file.write(_to_json({**line, "row": reject.row}) + "\n")
                self._file.flush()
            except OSError as error:
                raise ConfigError(f"rejects file {self.path}: {error.strerror}") from error
            self.count += 1
            self.refused += reject.error is not None
            self.without_key += not reject.id
            if reject.id and self._keys is not None:
                self._keys.replace(reject.id, reject.number)
            self.first = self.first or reject

    def sync(self) -> None:
        """What was added survives the machine's end, too."""
        with self._lock:
            if self._file is not None:
                os.fsync(self._file.fileno())

    def close(self) -> None:
        """Closes the file."""
        if self._file is not None:
            self._file.close()

    def __enter__(self) -> Rejects:
        try:
            if self.path.is_file():
                self._take_over()
        except OSError as error:
            raise ConfigError(f"rejects file {self.path}: {error.strerror}") from error
        return self

    def _take_over(self) -> None:
        """Keeps the lines of settled rows: the others come again, and the last may be torn."""
        staged = self.path.with_name(f".{self.path.name}.new")
        with self.path.open(encoding="utf-8") as before, staged.open("w", encoding="utf-8") as kept:
            for line in before:
                if 0 < _number_of(line) <= self._keep:
                    kept.write(line)
                    self.count += 1
                    self.refused += "error" in json.loads(line)
        if self.count:
            staged.replace(self.path)
        else:
            staged.unlink()
            self.path.unlink()

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


def _number_of(line: str) -> int:
    """Of the row in a line of the file; 0 for a torn one."""
    try:
        return int(json.loads(line)["number"])
    except (ValueError, KeyError):
        return 0
