"""What a person sees while an index is built."""

from __future__ import annotations

import threading
import time

from rich.console import Console
from rich.progress import BarColumn, TaskID, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar

from index_builder.sending import Sent
from rerank_core.cluster.release import GateRecord

# A person waits so long without a word before wondering.
_SILENCE_S = 5.0


class Progress:
    """Says what is being done: a bar on a terminal, else a line every few seconds.

    Safe to call from several threads.
    """

    def __init__(self, console: Console) -> None:
        self._console = console
        self._lock = threading.Lock()
        self._started = self._said = time.monotonic()
        self._encoded = 0
        self._rejected = 0
        self._read_bytes = 0
        self._total_bytes: int | None = None
        self._sent: Sent | None = None
        self._bar: Bar | None = None
        self._task = TaskID(0)

    def note(self, text: str) -> None:
        """One line. `text` is shown as it is: file names and products may look like markup."""
        self._said = time.monotonic()
        self._console.print(text, markup=False, highlight=False, soft_wrap=True)

    def begin(self, total_bytes: int | None) -> None:
        """Loading begins, of so much where that is known."""
        self._total_bytes = total_bytes
        self._started = time.monotonic()
        if self._console.is_terminal:
            self._bar = Bar(
                TextColumn("{task.description}"),
                BarColumn(),
                TimeRemainingColumn(),
                console=self._console,
                transient=True,
            )
            self._task = self._bar.add_task("reading", total=total_bytes)
            self._bar.start()

    def read(self, size_bytes: int) -> None:
        """So much more of the input was read."""
        self._read_bytes += size_bytes

    def rejected(self, rows: int) -> None:
        """So many rows are rejected by now."""
        self._rejected = rows

    def encoded(self, texts: int) -> None:
        """Further texts have vectors."""
        with self._lock:
            self._encoded += texts
        self.tick()

    def sending(self, sent: Sent) -> None:
        """How far writing has come."""
        self._sent = sent
        self.tick()

    def tick(self) -> None:
        """Time went by; something is said where nothing was for a while."""
        if self._bar is not None:
            self._bar.update(self._task, description=self._state(), completed=self._read_bytes)
        elif time.monotonic() - self._said >= _SILENCE_S:
            self.note(f"  {self._state()}{self._left()}")

    def written(self, documents: int) -> None:
        """Loading has ended."""
        if self._bar is not None:
            self._bar.stop()
            self._bar = None
        elapsed_s = time.monotonic() - self._started
        self.note(f"  {documents:,} documents, {documents / elapsed_s:,.0f} a second")

    def gate(self, record: GateRecord) -> None:
        """What a gate found."""
        figure = "" if record.figure is None else f" {record.figure:.4g}"
        bound = "" if record.bound is None else f" (bound {record.bound:.4g})"
        self.note(f"  {record.name}: {record.verdict}{figure}{bound}: {record.detail}")

    def close(self) -> None:
        """Gives the terminal back."""
        if self._bar is not None:
            self._bar.stop()
            self._bar = None

    def _state(self) -> str:
        elapsed_s = max(time.monotonic() - self._started, 1e-9)
        written = self._sent.written if self._sent else 0
        parts = [
            f"{self._encoded:,} texts encoded",
            f"{written:,} documents, {written / elapsed_s:,.0f} a second",
        ]
        if self._sent and self._sent.retries:
            parts.append(f"{self._sent.retries:,} retries")
        if self._rejected:
            parts.append(f"{self._rejected:,} rejected")
        return ", ".join(parts)

    def _left(self) -> str:
        if not self._total_bytes or not self._read_bytes:
            return ""
        elapsed_s = time.monotonic() - self._started
        left_s = elapsed_s * max(0.0, self._total_bytes / self._read_bytes - 1)
        return f", about {left_s:,.0f} s left"
