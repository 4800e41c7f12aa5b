"""How long each stage was busy."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager


class StageClock:
    """Seconds that each stage worked, over all its threads.

    Stages run side by side, so they may sum to more than went by.
    """

    def __init__(self) -> None:
        self.busy_s: dict[str, float] = {}
        self._lock = threading.Lock()

    @contextmanager
    def timed(self, stage: str) -> Iterator[None]:
        """Adds what the block takes."""
        started = time.perf_counter()
        try:
            yield
        finally:
            with self._lock:
                busy_s = self.busy_s.get(stage, 0.0) + time.perf_counter() - started
                self.busy_s[stage] = busy_s
