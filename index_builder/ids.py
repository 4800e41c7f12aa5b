"""Which keys of a catalogue were seen, and where."""

from __future__ import annotations

import sqlite3
from types import TracebackType

from rerank_core.errors import InputError


class SeenIds:
    """Refuses a key's second row. The keys lie in a temporary file, not in memory.

    Not for two threads at once.
    """

    def __init__(self) -> None:
        # The empty name is SQLite's for a private file that it deletes itself, and that it writes
        # only once its cache is full. The thread that reads is not the one that opens.
        self._database = sqlite3.connect("", isolation_level=None, check_same_thread=False)
        self._database.execute("PRAGMA journal_mode = OFF")
        self._database.execute("CREATE TABLE seen (id TEXT PRIMARY KEY, line INT) WITHOUT ROWID")
        self._database.execute("BEGIN")

    def claim(self, column: str, key: str, line: int) -> None:
        """Notes a key. Raises `InputError` naming the line that had it first."""
        added = self._database.execute("INSERT OR IGNORE INTO seen VALUES (?, ?)", (key, line))
        if added.rowcount:
            return
        found = self._database.execute("SELECT line FROM seen WHERE id = ?", (key,))
        raise InputError(column, f"{key!r} was on line {found.fetchone()[0]} already")

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
