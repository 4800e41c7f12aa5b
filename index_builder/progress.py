"""What a person sees while an index is built."""

from __future__ import annotations

import time

from rich.console import Console

# A person waits so long without a word before wondering.
_SILENCE_S = 5.0


class Progress:
    """Says what is being done, a line at a time, on a console."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._started = self._said = time.monotonic()
        self._encoded = 0

    def note(self, text: str) -> None:
        """One line. `text` is shown as it is: file names and products may look like markup."""
        self._said = time.monotonic()
        self._console.print(text, markup=False, highlight=False, soft_wrap=True)

    def encoded(self, texts: int) -> None:
        """Further texts have vectors; said only where nothing else was for a while."""
        self._encoded += texts
        if time.monotonic() - self._said >= _SILENCE_S:
            self.note(f"  {self._encoded:,} texts encoded")

    def written(self, documents: int) -> None:
        """How far writing has come."""
        elapsed_s = time.monotonic() - self._started
        self.note(f"  {documents:,} documents, {documents / elapsed_s:,.0f} a second")
