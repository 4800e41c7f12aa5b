"""Lines on their way out, written by a thread of its own."""

from __future__ import annotations

import os
import threading
from queue import SimpleQueue

_MOST_LINES = 4096


class Outlet:
    """Writes lines to a file or pipe; whoever hands one over never waits for its reader.

    Where the reader stands still, `most_lines` are kept; further ones are lost, and counted.
    """

    def __init__(self, descriptor: int, most_lines: int = _MOST_LINES) -> None:
        self._descriptor = descriptor
        self._most_lines = most_lines
        self._lines: SimpleQueue[str | None] = SimpleQueue()
        self._refused = self._unwritten = 0
        self._counting = threading.Lock()
        self._writer = threading.Thread(target=self._write_all, name="log", daemon=True)
        self._writer.start()

    @property
    def lost(self) -> int:
        """Lines that nobody will read."""
        return self._refused + self._unwritten

    def put(self, line: str) -> None:
        """Hands over a line, without its end."""
        if self._lines.qsize() >= self._most_lines:
            with self._counting:
                self._refused += 1
        else:
            self._lines.put(line)

    def close(self, patience_s: float) -> None:
        """Returns when all is written, or after `patience_s`: a reader may never come back."""
        self._lines.put(None)
        self._writer.join(patience_s)

    def _write_all(self) -> None:
        while (line := self._lines.get()) is not None:
            left = memoryview(f"{line}\n".encode())
            try:
                # Past Python's own buffer: its lock, held amid a write, would stop the exit.
                while left:
                    left = left[os.write(self._descriptor, left) :]
            except OSError:
                self._unwritten += 1
