"""What took how long within one request."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager


class Stages:
    """Milliseconds by stage, in the order in which the stages began."""

    def __init__(self) -> None:
        self.ms: dict[str, float] = {}

    @contextmanager
    def timed(self, stage: str) -> Iterator[None]:
        """Takes the time of the block, also where it raises."""
        self.ms[stage] = 0.0
        began = time.perf_counter()
        try:
            yield
        finally:
            self.add(stage, (time.perf_counter() - began) * 1e3)

    def add(self, stage: str, duration_ms: float) -> None:
        """Notes a time that was taken elsewhere, to the microsecond."""
        self.ms[stage] = round(duration_ms, 3)
