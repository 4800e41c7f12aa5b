"""Scores as they come: the consumer's end of a scoring request."""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import AsyncIterator, Iterator
from enum import Enum

import numpy as np
import numpy.typing as npt

from rerank_core.engine.path import Rows
from rerank_core.engine.times import WorkClock, WorkTimes, seconds_left
from rerank_core.errors import RerankError

Scored = tuple[int, float]
"""Index of a product in the request, and its logit."""

_PAUSE_S = 0.01
"""Of an event loop between two lists: some units' time, a fraction of any budget."""


class Ended(Enum):
    """Why no more scores come."""

    DONE = "done"
    DEADLINE = "deadline"
    CANCELLED = "cancelled"


class ScoreStream:
    """(index, logit) pairs, each product at most once, in whatever order they are computed.

    Iterate it once, from a thread (``for``), or its `batches` from an event loop. Iteration ends
    when all are scored, at the deadline, or after `cancel`; `ended` then says which, and `times`
    how long each stage took. Leaving the loop early cancels. Iteration raises what scoring raised,
    a `ScoringError` or `NotReadyError`.
    """

    def __init__(self, deadline: float, clock: WorkClock) -> None:
        self._deadline = deadline
        self._clock = clock
        self._condition = threading.Condition()
        self._scored: deque[Scored] = deque()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._news = asyncio.Event()
        """For that loop."""
        self._quiet = False
        """Whether scores wait until the loop asks for them."""
        self._error: RerankError | None = None
        self.ended: Ended | None = None
        self.times = WorkTimes()

    # The engine's side.

    def accept(self, rows: Rows, outputs: npt.NDArray[np.float32]) -> None:
        """Takes the scores of one unit. What comes after the end is dropped."""
        with self._condition:
            if self.ended is None:
                self._scored.extend(zip(rows.tolist(), outputs.tolist(), strict=True))
                self._condition.notify_all()
                if not self._quiet or (self._loop is not None and self._loop.is_closed()):
                    self._wake_loop()

    def finish(self, ended: Ended) -> None:
        """No more scores come. The first word stands."""
        with self._condition:
            if self.ended is None:
                self.ended, self.times = ended, self._clock.read()
                self._condition.notify_all()
                self._wake_loop()

    def fail(self, error: RerankError) -> None:
        """Scoring raised."""
        with self._condition:
            if self.ended is None:
                self._error = error
                self.finish(Ended.CANCELLED)

    # The consumer's side.

    def cancel(self) -> None:
        """Gives up the rest: units that have not begun never will. Safe to repeat."""
        self.finish(Ended.CANCELLED)

    def __iter__(self) -> Iterator[Scored]:
        try:
            while True:
                with self._condition:
                    while not self._scored and self.ended is None:
                        if not self._condition.wait(seconds_left(self._deadline)):
                            # The workers may be busy with others past this deadline.
                            self.finish(Ended.DEADLINE)
                    batch, over = self._drain()
                yield from batch
                if over:
                    return
        finally:
            self.cancel()

    async def batches(self) -> AsyncIterator[list[Scored]]:
        """What has come, a list at a time, for an event loop.

        Units are many and short. Each that woke the loop would take it from the others it serves,
        and the interpreter's lock from the workers: after a list nothing does for 10 ms, but the
        end.
        """
        loop, news = asyncio.get_running_loop(), self._news

        def listen() -> None:
            with self._condition:
                self._quiet = False
                if self._scored:
                    news.set()

        left_s = seconds_left(self._deadline)
        timers = [] if left_s is None else [loop.call_later(left_s, self.finish, Ended.DEADLINE)]
        with self._condition:
            self._loop = loop
        try:
            while True:
                with self._condition:
                    news.clear()
                    batch, over = self._drain()
                    self._quiet = bool(batch)
                if batch:
                    yield batch
                if over:
                    return
                pause = loop.call_later(_PAUSE_S, listen)
                try:
                    await news.wait()
                finally:
                    pause.cancel()
        finally:
            for timer in timers:
                timer.cancel()
            with self._condition:
                self._loop = None
                self.cancel()

    def _drain(self) -> tuple[list[Scored], bool]:
        """What has come, and whether it is all. Holds the lock."""
        if self._error is not None:
            raise self._error
        batch = list(self._scored)
        self._scored.clear()
        return batch, self.ended is not None

    def _wake_loop(self) -> None:
        if self._loop is None:
            return
        try:
            self._loop.call_soon_threadsafe(self._news.set)
        except RuntimeError:  # it is closed: nobody listens any more
            self._loop = None
            self.cancel()
