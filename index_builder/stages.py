"""Stages that run side by side, and how long each was busy."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import Executor
from contextlib import contextmanager
from typing import TypeVar

Item = TypeVar("Item")


class StageClock:
    """Seconds that each stage worked. Stages overlap, so they may sum to more than went by."""

    def __init__(self) -> None:
        self.busy_s: dict[str, float] = {}

    @contextmanager
    def timed(self, stage: str) -> Iterator[None]:
        """Adds what the block takes. A stage belongs to one thread."""
        started = time.perf_counter()
        try:
            yield
        finally:
            self.busy_s[stage] = self.busy_s.get(stage, 0.0) + time.perf_counter() - started


def one_ahead(executor: Executor, items: Iterator[Item]) -> Iterator[Item]:
    """The items, the next one being made by `executor` while this one is in use.

    At most one is made in advance. What making an item raises is raised here.
    """
    end = object()
    upcoming = executor.submit(next, items, end)
    while (item := upcoming.result()) is not end:
        upcoming = executor.submit(next, items, end)
        yield item  # type: ignore[misc]  # all that is not the end is an item
