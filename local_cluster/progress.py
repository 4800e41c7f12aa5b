"""Tells who waits what takes so long."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable

Say = Callable[[str], None]

_EVERY_S = 5.0


def say(line: str) -> None:
    """Writes a line to stderr: stdout is for answers."""
    sys.stderr.write(f"local cluster: {line}\n")
    sys.stderr.flush()


class Ticker:
    """Says what begins, then every five seconds that it still goes on, and how long it took."""

    def __init__(self, what: str, say: Say) -> None:
        self._what = what
        self._say = say
        self._began_s = self._said_s = time.monotonic()
        say(f"{what} ...")

    @property
    def elapsed_s(self) -> float:
        """Since the beginning."""
        return time.monotonic() - self._began_s

    def tick(self, detail: str = "") -> None:
        """To be called again and again while waiting."""
        now_s = time.monotonic()
        if now_s - self._said_s >= _EVERY_S:
            self._said_s = now_s
            self._say(f"{self._what} ... {self.elapsed_s:.0f} s{detail and ', '}{detail}")

    def done(self) -> None:
        """To be called once, at the end."""
        self._say(f"{self._what}: done in {self.elapsed_s:.1f} s")
