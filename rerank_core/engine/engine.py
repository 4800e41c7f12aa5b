"""The engine: one work queue, a worker a core, any number of models."""

from __future__ import annotations

import asyncio
import atexit
import math
import os
import sys
import threading
from collections.abc import Sequence
from concurrent.futures import Future
from types import TracebackType

import numpy as np
import numpy.typing as npt

from rerank_core.engine.cores import usable_cores
from rerank_core.engine.model import BiEncoder, CrossEncoder, Product
from rerank_core.engine.path import Rows
from rerank_core.engine.queue import Priority, Request, WorkQueue
from rerank_core.engine.stream import Ended, ScoreStream
from rerank_core.engine.times import WorkClock, seconds_left
from rerank_core.errors import ConfigError, DeadlineError, RerankError

Vectors = npt.NDArray[np.float32]


class Engine:
    """Scores pairs and encodes texts. One a process; safe to call from any thread.

    Models come with each call, so that two versions can be served side by side. Deadlines are
    seconds of `time.monotonic`; work whose deadline has passed, or whose caller cancelled, is
    dropped before its next unit.
    """

    def __init__(self, workers: int | None = None, *, niceness: int = 0) -> None:
        """`workers` threads; None means one a usable core. Raises `ConfigError`.

        With a `niceness` (0 to 19, on Linux) other threads go first where there are no cores for
        all: a server's, which take requests in and send answers out.
        """
        if workers is not None and workers < 1:
            raise ConfigError(f"workers: {workers}; the engine needs at least 1")
        self._queue = WorkQueue()
        self._niceness = niceness
        self._threads = [
            threading.Thread(target=self._work, name=f"engine-{number}", daemon=True)
            for number in range(workers or usable_cores())
        ]
        for thread in self._threads:
            thread.start()
        # Workers are daemons, so that leaving without `close` ends; but what they compute with is
        # taken down at exit, and a kernel must not be at work then.
        atexit.register(self.close)

    def _work(self) -> None:
        if self._niceness and sys.platform == "linux":  # elsewhere it would be the whole process's
            own = os.getpriority(os.PRIO_PROCESS, 0)  # of a process that was started nice already
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), own + self._niceness)
        while self._queue.run_one():
            pass

    @property
    def waiting(self) -> int:
        """How many requests wait for a worker."""
        return len(self._queue)

    def submit(
        self,
        model: CrossEncoder,
        query: str,
        products: Sequence[Product],
        *,
        deadline: float = math.inf,
        priority: Priority = Priority.INTERACTIVE,
    ) -> ScoreStream:
        """Starts scoring; the stream gives (index into `products`, logit) as they come.

        Products are composed, tokenised and scored in turns, in their order: those of the first
        are scored before those of the last are read. Raises `NotReadyError` once the engine is
        closed.
        """
        own = tuple(products)  # composed later: the caller's list may have changed by then
        compose = model.composer(query)
        clock = WorkClock()
        stream = ScoreStream(deadline, clock)
        request = Request(
            lambda part: compose(own[part]),
            len(own),
            model.path,
            model.cost,
            _Logits(model, stream),
            clock,
            deadline,
        )
        self._queue.put(request, priority)
        return stream

    def encode(
        self,
        model: BiEncoder,
        texts: Sequence[str],
        *,
        deadline: float = math.inf,
        priority: Priority = Priority.INTERACTIVE,
    ) -> Vectors:
        """Vectors of unit length, float32 ``(texts, dimensions)``, in the order of the texts.

        Raises `DeadlineError` at the deadline, however busy the workers are; `ScoringError`, and
        `NotReadyError` once the engine is closed.
        """
        work = self._encode(model, texts, deadline, priority)
        try:
            return work.result(seconds_left(deadline))
        except TimeoutError:
            raise _late() from None
        finally:
            work.cancel()  # of effect only where the caller leaves early, as at Ctrl-C

    async def encode_async(
        self,
        model: BiEncoder,
        texts: Sequence[str],
        *,
        deadline: float = math.inf,
        priority: Priority = Priority.INTERACTIVE,
    ) -> Vectors:
        """`encode` for an event loop; cancelling it drops the work."""
        work = self._encode(model, texts, deadline, priority)
        try:
            async with asyncio.timeout(seconds_left(deadline)):
                return await asyncio.wrap_future(work)
        except TimeoutError:
            raise _late() from None

    def _encode(
        self, model: BiEncoder, texts: Sequence[str], deadline: float, priority: Priority
    ) -> Future[Vectors]:
        own = tuple(texts)
        sink = _Vectors(np.empty((len(own), model.dimensions), np.float32))
        request = Request(
            lambda part: model.compose(own[part]),
            len(own),
            model.path,
            model.cost,
            sink,
            WorkClock(),
            deadline,
        )
        self._queue.put(request, priority)
        return sink.future

    def close(self) -> None:
        """Ends waiting work with `NotReadyError`, lets units in work finish, stops the workers.

        Done at the interpreter's exit where it was not done before.
        """
        self._queue.close()
        for thread in self._threads:
            thread.join()
        atexit.unregister(self.close)

    def __enter__(self) -> Engine:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


class _Logits:
    """Narrows a classifier's columns to the relevance logit on their way to the stream."""

    def __init__(self, model: CrossEncoder, stream: ScoreStream) -> None:
        self._model = model
        self._stream = stream
        self.finish = stream.finish
        self.fail = stream.fail

    @property
    def ended(self) -> Ended | None:
        return self._stream.ended

    def accept(self, rows: Rows, outputs: npt.NDArray[np.float32]) -> None:
        self._stream.accept(rows, self._model.logits(outputs))


class _Vectors:
    """Gathers the vectors of a request into one array."""

    def __init__(self, vectors: Vectors) -> None:
        self._vectors = vectors
        self._lock = threading.Lock()
        self._ended: Ended | None = None
        self.future: Future[Vectors] = Future()

    @property
    def ended(self) -> Ended | None:
        return Ended.CANCELLED if self.future.cancelled() else self._ended

    def accept(self, rows: Rows, outputs: npt.NDArray[np.float32]) -> None:
        self._vectors[rows] = outputs

    def finish(self, ended: Ended) -> None:
        self._ended = ended
        self._settle(None if ended is Ended.DONE else _late())

    def fail(self, error: RerankError) -> None:
        self._ended = Ended.CANCELLED
        self._settle(error)

    def _settle(self, error: RerankError | None) -> None:
        with self._lock:
            # Done: another worker was first. False: the caller cancelled.
            if self.future.done() or not self.future.set_running_or_notify_cancel():
                return
            if error is None:
                self.future.set_result(self._vectors)
            else:
                self.future.set_exception(error)


def _late() -> DeadlineError:
    return DeadlineError("the texts were not encoded by the deadline")
