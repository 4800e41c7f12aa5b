"""Which keys of a catalogue were seen, and where."""

from __future__ import annotations

import sqlite3
from types import TracebackType

from rerank_core.errors import InputError


class SeenIds:
    """Keys and where they were. They lie in a temporary file, not in memory.

    Not for two threads at once.
    """

    def __init__(self) -> None:
        # The empty name is SQLite's for a private file that it deletes itself, and that it writes
        # only once its cache is full. The thread that reads is not the one that opens.
        self._database = sqlite3.connect("", isolation_level=None, check_same_thread=False)
        self._database.execute("PRAGMA journal_mode = OFF")
        self._database.execute("CREATE TABLE seen (id TEXT PRIMARY KEY, at INT) WITHOUT ROWID")
        self._database.execute("BEGIN")

    def claim(self, column: str, key: str, line: int) -> None:
        """Notes a key. Raises `InputError` naming the line that had it first."""
        added = self._database.execute("INSERT OR IGNORE INTO seen VALUES (?, ?)", (key, line))
        if not added.rowcount:
            raise InputError(column, f"{key!r} was on line {self.place(key)} already")

    def replace(self, key: str, at: int) -> None:
        """Notes a key, instead of where it was before."""
        self._database.execute("INSERT OR REPLACE INTO seen VALUES (?, ?)", (key, at))

    def place(self, key: str) -> int | None:
        """Where a key is noted; None where it is not."""
        found = self._database.execute("SELECT at FROM seen WHERE id = ?", (key,)).fetchone()
        return None if found is None else int(found[0])

    def __len__(self) -> int:
        [count] = self._database.execute("SELECT count(*) FROM seen").fetchone()
        return int(count)

    def close(self) -> None:
        """Deletes the file."""
        self._database.close()

    def __enter__(self) -> SeenIds:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
