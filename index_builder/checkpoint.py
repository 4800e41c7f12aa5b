"""What a killed rebuild is taken up by: one small file, bound to its input and its plan."""

from __future__ import annotations

import json
import sqlite3
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType

from rerank_core import records
from rerank_core.errors import ConfigError

FORMAT = 1


@dataclass(frozen=True)
class Checkpoint:
    """How far a rebuild has come."""

    format: int
    index: str
    """The fresh index."""
    owner: str
    """Of the alias's lock: the resumed build is the same owner."""
    input_hash: str
    plan_hash: str
    """Over all that decides what document a row becomes."""
    settled: int = 0
    """All rows up to this number are in the index or rejected."""
    loaded: int | None = None
    """Documents that were counted once all rows were settled; None before."""


class CheckpointFile:
    """Holds one `Checkpoint`; a context manager that keeps other processes out.

    SQLite writes it whole or not at all, and the kernel gives its lock back when the process ends,
    whichever way. Safe to call from several threads.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.Lock()
        self._database: sqlite3.Connection | None = None
        self._ours = False
        self.state: Checkpoint | None = None

    def __enter__(self) -> CheckpointFile:
        """Raises `ConfigError` where another process has it, or it cannot be read or written."""
        try:
            self._database = sqlite3.connect(
                self.path, isolation_level=None, check_same_thread=False, timeout=0
            )
            self._database.execute("PRAGMA locking_mode = EXCLUSIVE")
            self._database.execute("PRAGMA synchronous = FULL")
            self._database.execute("BEGIN EXCLUSIVE")
            self._database.execute("CREATE TABLE IF NOT EXISTS checkpoint (state TEXT)")
            self._database.execute("COMMIT")
            row = self._database.execute("SELECT state FROM checkpoint").fetchone()
            self._ours = True
        except sqlite3.Error as error:
            self.close()
            raise ConfigError(f"checkpoint {self.path}: {_mend(error)}") from error
        if row is not None:
            self.state = self._read(row[0])
        return self

    def _read(self, text: str) -> Checkpoint:
        where = f"checkpoint {self.path}"
        if json.loads(text).get("format") != FORMAT:
            self._ours = False
            self.close()
            raise ConfigError(f"{where}: of another version of this program; delete it")
        return records.read_json(Checkpoint, text, where, ConfigError)

    def write(self, state: Checkpoint) -> None:
        """Survives this process and the machine. Raises `ConfigError`."""
        with self._lock:
            if self._database is None:
                return
            text = json.dumps(records.to_json(state))
            try:
                self._database.execute("BEGIN")
                self._database.execute("DELETE FROM checkpoint")
                self._database.execute("INSERT INTO checkpoint VALUES (?)", (text,))
                self._database.execute("COMMIT")
            except sqlite3.Error as error:
                raise ConfigError(f"checkpoint {self.path}: {_mend(error)}") from error
            self.state = state

    def change(self, **changes: object) -> None:
        """Writes the state with these fields changed; nothing where there is none."""
        if self.state is not None:
            self.write(replace(self.state, **changes))  # type: ignore[arg-type]

    def delete(self) -> None:
        """There is nothing to resume any more."""
        self.state = None
        self.close()
        self.path.unlink(missing_ok=True)

    def close(self) -> None:
        """Lets others have it; one that holds nothing goes."""
        with self._lock:
            if self._database is None:
                return
            self._database.close()
            self._database = None
            if self.state is None and self._ours:
                self.path.unlink(missing_ok=True)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


class Settled:
    """The largest number below which every row is settled, while chunks end in any order."""

    def __init__(self, on_settled: Callable[[int], None]) -> None:
        self._lock = threading.Lock()
        self._chunks: deque[list[int]] = deque()
        self._on_settled = on_settled

    def begin(self, last_number: int) -> Callable[[], None]:
        """A chunk whose last row has this number is on its way; to be called when it is settled.

        Chunks begin in the order of their rows.
        """
        chunk = [last_number, 0]
        with self._lock:
            self._chunks.append(chunk)

        def settle() -> None:
            mark = None
            with self._lock:
                chunk[1] = 1
                while self._chunks and self._chunks[0][1]:
                    mark = self._chunks.popleft()[0]
                if mark is not None:
                    self._on_settled(mark)

        return settle


def _mend(error: sqlite3.Error) -> str:
    if "locked" in str(error):
        return "another process builds by it; wait for it, or name another file"
    return f"{error}; delete it, or name another file"
