"""The one work queue: requests take turns, a unit each, the urgent ones first."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from enum import IntEnum
from typing import Protocol

import numpy as np
import numpy.typing as npt

from rerank_core.engine.path import NumericPath, Rows
from rerank_core.engine.stream import Ended
from rerank_core.engine.times import WorkClock
from rerank_core.errors import NotReadyError, RerankError, ScoringError
from rerank_core.text import PackedTokens


class Priority(IntEnum):
    """Lower is served first; batch work runs in what interactive work leaves."""

    INTERACTIVE = 0
    BATCH = 1


class Sink(Protocol):
    """Where a request's outputs go. Called from worker threads."""

    @property
    def ended(self) -> Ended | None:
        """Set once outputs are of no use any more."""

    def accept(self, rows: Rows, outputs: npt.NDArray[np.float32]) -> None:
        """Takes the outputs of one unit."""

    def finish(self, ended: Ended) -> None:
        """No more outputs come."""

    def fail(self, error: RerankError) -> None:
        """Computing raised."""


# Texts tokenised in one turn: as long a turn as a unit's, so that a request of thousands of texts
# does not keep a worker from the others.
_TEXTS_A_TURN = 128


class Request:
    """Work of one caller: composed in turns, then computed unit by unit by any worker.

    It stands in the queue once at most, so no two workers ever compose it or take a unit at once;
    units that were taken are computed side by side.
    """

    def __init__(
        self,
        compose: Callable[[slice], PackedTokens],
        texts: int,
        path: NumericPath,
        sink: Sink,
        clock: WorkClock,
        deadline: float,
    ) -> None:
        """`compose` gives the rows of a part of the `texts`."""
        self._compose = compose
        self._texts = texts
        self._path = path
        self._sink = sink
        self._clock = clock
        self._deadline = deadline
        self._lock = threading.Lock()
        self._parts: list[PackedTokens] = []
        self._composed = 0
        self._units: deque[Rows] | None = None
        self._running = 0

    def live(self) -> bool:
        """Whether there is a point in going on; ends the request at its deadline."""
        if self._sink.ended is None and time.monotonic() >= self._deadline:
            self._sink.finish(Ended.DEADLINE)
        return self._sink.ended is None

    def step(self, requeue: Callable[[], None]) -> None:
        """Composes a part, or computes one unit; `requeue` once another may take the next step."""
        try:
            if self._units is None:
                self._compose_part(requeue)
            else:
                self._compute_unit(self._units, requeue)
        except RerankError as error:
            self.fail(error)
        except Exception as error:  # noqa: BLE001  one request's poison must not stop a worker
            failure = ScoringError(f"scoring failed: {type(error).__name__}: {error}")
            failure.__cause__ = error
            self.fail(failure)

    def fail(self, error: RerankError) -> None:
        """Ends the request with an error."""
        self._sink.fail(error)

    def _compose_part(self, requeue: Callable[[], None]) -> None:
        self._clock.take_up()
        part = slice(self._composed, min(self._composed + _TEXTS_A_TURN, self._texts))
        self._parts.append(self._compose(part))
        self._composed = part.stop
        if self._composed < self._texts:
            requeue()
            return
        self._tokens = PackedTokens.join(self._parts)
        self._parts.clear()
        self._clock.tokenize_done()
        self._units = deque(self._path.plan(self._tokens))
        if self._units:
            requeue()
        else:
            self._sink.finish(Ended.DONE)

    def _compute_unit(self, units: deque[Rows], requeue: Callable[[], None]) -> None:
        with self._lock:
            unit = units.popleft()
            self._running += 1
            more = bool(units)
        if more:
            requeue()
        outputs = self._path.forward(self._tokens.rows(unit))
        if not np.isfinite(outputs).all():
            raise ScoringError("the model gave NaN or infinity")
        self._sink.accept(unit, outputs)
        with self._lock:
            self._running -= 1
            over = not units and not self._running
        if over:
            self._sink.finish(Ended.DONE)


class WorkQueue:
    """Requests by priority; within one priority they take turns, a unit each."""

    def __init__(self) -> None:
        self._lanes: dict[Priority, deque[Request]] = {lane: deque() for lane in Priority}
        self._condition = threading.Condition()
        self._closed = False

    def put(self, request: Request, priority: Priority) -> None:
        """Appends a request. Raises `NotReadyError` after `close`."""
        with self._condition:
            if self._closed:
                raise NotReadyError("the engine is stopping")
            self._lanes[priority].append(request)
            self._condition.notify()

    def run_one(self) -> bool:
        """Waits for work and does one step of it; false once closed."""
        with self._condition:
            while not self._closed and not any(self._lanes.values()):
                self._condition.wait()
            if self._closed:
                return False
            priority = min(lane for lane, requests in self._lanes.items() if requests)
            request = self._lanes[priority].popleft()
        if request.live():
            request.step(requeue=lambda: self._requeue(request, priority))
        return True

    def _requeue(self, request: Request, priority: Priority) -> None:
        try:
            self.put(request, priority)
        except NotReadyError as error:
            request.fail(error)

    def close(self) -> None:
        """Ends what waits with `NotReadyError` and sends the workers home."""
        with self._condition:
            self._closed = True
            waiting = [request for lane in self._lanes.values() for request in lane]
            for lane in self._lanes.values():
                lane.clear()
            self._condition.notify_all()
        for request in waiting:
            request.fail(NotReadyError("the engine is stopping"))

    def __len__(self) -> int:
        """How many requests wait for a worker."""
        with self._condition:
            return sum(len(lane) for lane in self._lanes.values())
