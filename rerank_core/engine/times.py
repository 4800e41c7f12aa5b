"""Deadlines, and where the time of one request goes in the engine."""

from __future__ import annotations

import math
import threading
import time
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class WorkTimes:
    """Stages of one request in milliseconds; their sum is its whole time in the engine.

    A worker takes turns between requests, so each stage holds the turns of others, too.
    """

    queue_ms: float = 0.0
    """Until a worker took it up."""
    tokenize_ms: float = 0.0
    """Until its last text was tokens."""
    score_ms: float = 0.0
    """Until its last unit was computed, or its end."""


class WorkClock:
    """Marks the stages of one request; may be read from any thread at any time."""

    def __init__(self) -> None:
        self._submitted = time.perf_counter()
        self._taken_up: float | None = None
        self._tokenized: float | None = None

    def take_up(self) -> None:
        """A worker begins; the first time counts."""
        self._taken_up = self._taken_up or time.perf_counter()

    def tokenize_done(self) -> None:
        """All texts are tokens."""
        self._tokenized = time.perf_counter()

    def read(self) -> WorkTimes:
        """The stages so far."""
        now = time.perf_counter()
        # A mark set by another thread since `now` belongs to the next reading.
        tokenized = min(self._tokenized or now, now)
        taken_up = min(self._taken_up or now, tokenized)
        return WorkTimes(
            (taken_up - self._submitted) * 1e3,
            (tokenized - taken_up) * 1e3,
            (now - tokenized) * 1e3,
        )


def seconds_left(deadline: float) -> float | None:
    """Seconds until a deadline of `time.monotonic`, 0 once it has passed; None for no deadline."""
    if math.isinf(deadline):
        return None
    return min(max(0.0, deadline - time.monotonic()), threading.TIMEOUT_MAX)
