"""The one work queue: requests take turns, a unit each, the urgent ones first."""

from __future__ import annotations

import math
import threading
import time
from collections import deque
from collections.abc import Callable
from enum import IntEnum
from heapq import heappop, heappush
from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from rerank_core.engine.cost import CostModel
from rerank_core.engine.path import NumericPath, Rows, parts
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


class Unit(NamedTuple):
    """Rows that are computed together."""

    tokens: PackedTokens
    rows: Rows
    """Their places in the request."""


class Request:
    """Work of one caller, done in turns by any worker: a part is composed, or a unit computed.

    Units go before parts and the first rows before the rest, whichever part was composed sooner:
    what is done at a deadline is the top of the list. It stands in the queue once at most; turns
    that were taken are done side by side.
    """

    def __init__(
        self,
        compose: Callable[[slice], PackedTokens],
        texts: int,
        path: NumericPath,
        cost: CostModel,
        sink: Sink,
        clock: WorkClock,
        deadline: float,
    ) -> None:
        """`compose` gives the rows of a part of the `texts`; `cost` is of the path's units."""
        self._compose = compose
        self._parts = deque(parts(path, texts))
        self._path = path
        self._cost = cost
        self._sink = sink
        self._clock = clock
        self._deadline = deadline
        self._lock = threading.Lock()
        self._units: list[tuple[int, Unit]] = []
        """A heap by first row; no two units share one."""
        self._turns = 0
        """Taken and not done."""
        self._computed = False
        """Whether a unit is done."""
        self._late = False
        """Whether units were given up."""

    def live(self) -> bool:
        """Whether there is a point in going on; ends the request at its deadline."""
        if self._sink.ended is None and time.monotonic() >= self._deadline:
            self._sink.finish(Ended.DEADLINE)
        return self._sink.ended is None

    def step(self, requeue: Callable[[], None]) -> None:
        """Does one turn; `requeue` once another worker may take the next."""
        try:
            self._turn(requeue)
        except RerankError as error:
            self.fail(error)
        except BaseException as error:  # noqa: BLE001  one request's poison must not stop a worker
            # A panic in Rust, such as of `tokenizers`, is no `Exception`; a signal's exceptions
            # go to the main thread, which is none of the workers.
            failure = ScoringError(f"scoring failed: {type(error).__name__}: {error}")
            failure.__cause__ = error
            self.fail(failure)

    def fail(self, error: RerankError) -> None:
        """Ends the request with an error."""
        self._sink.fail(error)

    def _turn(self, requeue: Callable[[], None]) -> None:
        self._clock.take_up()
        with self._lock:
            unit = heappop(self._units)[1] if self._units else None
            part = self._parts.popleft() if unit is None and self._parts else None
            self._turns += 1
            more = bool(self._units or self._parts)
        if more:
            requeue()
        composed: list[Unit] = []
        if unit is not None and self._too_late(unit):
            self._give_up()
        elif unit is not None:
            with self._clock.scoring():
                self._compute(unit)
        elif part is not None:
            with self._clock.tokenizing():
                composed = self._composed(part)
        with self._lock:
            # Another worker saw neither unit nor part left, so it queued nothing.
            alone = not (self._units or self._parts)
            for one in composed:
                heappush(self._units, (int(one.rows[0]), one))
            self._turns -= 1
            over = alone and not composed and not self._turns
        if over:
            self._sink.finish(Ended.DEADLINE if self._late else Ended.DONE)
        elif alone and composed:
            requeue()

    def _composed(self, part: slice) -> list[Unit]:
        tokens = self._compose(part)
        return [Unit(tokens.rows(rows), rows + part.start) for rows in self._path.plan(tokens)]

    def _too_late(self, unit: Unit) -> bool:
        """Whether the deadline would pass within the unit: it is not begun.

        But for a request's first one. It is tried whatever it seems to cost, or else an estimate
        that is too high would never be corrected.
        """
        if not self._computed or math.isinf(self._deadline):
            return False
        left_ms = (self._deadline - time.monotonic()) * 1e3
        return self._cost.unit_ms(unit.tokens.lengths) > left_ms

    def _give_up(self) -> None:
        """Begins nothing more; what other workers have in hand is still of use."""
        with self._lock:
            self._late = True
            self._units.clear()
            self._parts.clear()

    def _compute(self, unit: Unit) -> None:
        began = time.perf_counter()
        outputs = self._path.forward(unit.tokens)
        self._cost.observe(unit.tokens.lengths, (time.perf_counter() - began) * 1e3)
        self._computed = True
        if not np.isfinite(outputs).all():
            raise ScoringError("the model gave NaN or infinity")
        self._sink.accept(unit.rows, outputs)


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
