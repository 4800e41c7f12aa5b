"""What took how long within one request."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager


class Stages:
    """Milliseconds by stage, in the order in which the stages began."""

    def __init__(self) -> None:
        self.ms: dict[str, float] = {}
        self.began_ns: dict[str, int] = {}
        """When each began, in nanoseconds of the wall clock."""

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
        """Notes a time that was taken elsewhere and ends now, to the microsecond."""
        self.add_sequence({stage: duration_ms})

    def add_sequence(self, durations_ms: Mapping[str, float]) -> None:
        """Notes stages that followed one another, the last of which ends now."""
        began_ns = time.time_ns() - int(sum(durations_ms.values()) * 1e6)
        for stage, duration_ms in durations_ms.items():
            self.ms[stage] = round(duration_ms, 3)
            self.began_ns[stage] = began_ns
            began_ns += int(duration_ms * 1e6)
