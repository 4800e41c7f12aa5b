"""Deadlines, and where the time of one request goes in the engine."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class WorkTimes:
    """Stages of one request in milliseconds; queue, tokenize and score are its time in the engine.

    Texts are tokenised while others are scored, and workers take turns between requests: what
    passes from the first turn to the end is split as the workers' time on it was.
    """

    queue_ms: float = 0.0
    """Until a worker took it up."""
    tokenize_ms: float = 0.0
    score_ms: float = 0.0
    worked_ms: float = 0.0
    """Workers' time that was spent on it, all of them together; not a stage."""


class WorkClock:
    """Times the turns of one request; may be used from any thread at any time."""

    def __init__(self) -> None:
        self._submitted = time.perf_counter()
        self._taken_up: float | None = None
        self._lock = threading.Lock()
        self._tokenizing_s = 0.0
        self._scoring_s = 0.0

    def take_up(self) -> None:
        """A worker begins; the first time counts."""
        self._taken_up = self._taken_up or time.perf_counter()

    @contextmanager
    def tokenizing(self) -> Iterator[None]:
        """A worker tokenises within the block."""
        began = time.perf_counter()
        try:
            yield
        finally:
            with self._lock:
                self._tokenizing_s += time.perf_counter() - began

    @contextmanager
    def scoring(self) -> Iterator[None]:
        """A worker computes within the block."""
        began = time.perf_counter()
        try:
            yield
        finally:
            with self._lock:
                self._scoring_s += time.perf_counter() - began

    def read(self) -> WorkTimes:
        """The stages so far. What no turn is done of yet counts as tokenising, the first stage."""
        now = time.perf_counter()
        # A mark set by another thread since `now` belongs to the next reading.
        taken_up = min(self._taken_up or now, now)
        with self._lock:
            worked = self._tokenizing_s + self._scoring_s
            scoring = self._scoring_s / worked if worked else 0.0
        working_ms = (now - taken_up) * 1e3
        return WorkTimes(
            (taken_up - self._submitted) * 1e3,
            working_ms * (1 - scoring),
            working_ms * scoring,
            worked * 1e3,
        )


def seconds_left(deadline: float) -> float | None:
    """Seconds until a deadline of `time.monotonic`, 0 once it has passed; None for no deadline."""
    if math.isinf(deadline):
        return None
    return min(max(0.0, deadline - time.monotonic()), threading.TIMEOUT_MAX)
