"""The sender: one event loop in a thread of its own, many requests under way."""

from __future__ import annotations

import asyncio
import random
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Any

from opensearchpy import AsyncOpenSearch

from index_builder.sending.budget import Patience, RetryBudget
from index_builder.sending.items import Item, Refusal, read_item
from index_builder.sending.limits import SendLimits
from index_builder.sending.queue import SendQueue
from index_builder.sending.window import Window
from rerank_core.cluster.connection import connect_async
from rerank_core.cluster.failures import NO_CLUSTER, cluster_errors
from rerank_core.cluster.settings import ClusterSettings
from rerank_core.errors import ClusterError, ClusterRefused, ClusterTimeout, ClusterUnavailable

_TOO_LARGE, _SERVER = 413, 500
_LOOK_EVERY_S = 0.5
_NDJSON = {"content-type": "application/x-ndjson"}
# The answer alone of what is needed: it would be as long as the request otherwise.
_ANSWER = {"filter_path": "items.*.status,items.*.error"}

OnRefused = Callable[[Item, Refusal], None]


@dataclass(slots=True)
class Sent:
    """Counts of a run so far."""

    written: int = 0
    refused: int = 0
    requests: int = 0
    retries: int = 0
    """Items asked for again, and requests sent again."""
    bytes: int = 0


class Sender:
    """Writes items by bulk requests to one index; a context manager.

    Each item ends written or refused for good, and `on_refused` hears of the latter, from the
    sender's thread. Whatever cannot be answered by asking again ends the run: `put` and `drain`
    raise it. Raises `ClusterUnavailable` where patience or the budget of retries ends, and
    `ClusterRefused`; some items may then have been written.
    """

    def __init__(
        self,
        settings: ClusterSettings,
        index: str,
        on_refused: OnRefused,
        limits: SendLimits | None = None,
        parameters: dict[str, str] | None = None,
    ) -> None:
        """`parameters` go into each request's url."""
        self.sent = Sent()
        self._limits = limits = limits or SendLimits()
        self._settings = replace(settings, timeout_s=limits.timeout_s)
        self._index = index
        self._doing = f"writing to {index}"
        self._parameters = {**_ANSWER, **(parameters or {})}
        self._on_refused = on_refused
        self._queue = SendQueue(limits.most_items, limits.most_bytes)
        self._window = Window(limits.most_in_flight)
        self._patience = Patience(limits.first_wait_s, limits.longest_wait_s, limits.patience_s)
        self._budget = RetryBudget()
        self._chance = random.Random()  # noqa: S311  spreads retries, guards nothing
        self._trouble = ""
        self._changed = threading.Condition()
        self._held_items = self._held_bytes = 0
        self._error: BaseException | None = None
        self._closing = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self._wake: asyncio.Event | None = None
        self._thread = threading.Thread(target=self._work, name="send", daemon=True)

    @property
    def in_flight(self) -> int:
        """Requests that may be under way now."""
        return self._window.size

    def put(self, items: Sequence[Item]) -> None:
        """Hands items over; waits while too much is held already."""
        size_bytes = sum(len(item.payload) for item in items)
        with self._changed:
            while self._held_bytes and self._held_bytes + size_bytes > self._limits.held_bytes:
                self._check()
                self._changed.wait(_LOOK_EVERY_S)
            self._check()
            self._held_items += len(items)
            self._held_bytes += size_bytes
        self._tell(lambda: self._queue.put(items))

    def drain(self) -> None:
        """Comes back once every item is settled."""
        with self._changed:
            while self._held_items:
                self._check()
                self._changed.wait(_LOOK_EVERY_S)
            self._check()

    def close(self) -> None:
        """Stops at once; what is under way may or may not be written."""
        self._closing = True
        self._tell(lambda: None)
        self._thread.join()

    def __enter__(self) -> Sender:
        self._loop = asyncio.new_event_loop()
        self._wake = asyncio.Event()
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _check(self) -> None:
        if self._error is not None:
            raise self._error
        if self._closing:
            raise ClusterUnavailable(f"{self._doing}: stopped")

    def _tell(self, do: Callable[[], None]) -> None:
        loop, wake = self._loop, self._wake
        if loop is None or wake is None:
            raise RuntimeError("the sender is entered before it is used")

        def act() -> None:
            do()
            wake.set()

        if not loop.is_closed():
            loop.call_soon_threadsafe(act)

    def _work(self) -> None:
        if self._loop is None or self._wake is None:
            return
        try:
            self._loop.run_until_complete(self._run(self._wake))
        except BaseException as error:  # noqa: BLE001  raised again by whoever waits
            with self._changed:
                self._error = error
                self._changed.notify_all()
        finally:
            self._loop.close()

    async def _run(self, wake: asyncio.Event) -> None:
        client = connect_async(self._settings, pool_size=self._limits.most_in_flight)
        requests: set[asyncio.Task[None]] = set()
        try:
            while not self._closing:
                wake.clear()
                while len(requests) < self._window.size and (
                    items := self._queue.take(time.monotonic())
                ):
                    request = asyncio.create_task(self._send(client, items))
                    request.add_done_callback(lambda _: wake.set())
                    requests.add(request)
                due_s = self._queue.next_due_s()
                full = len(requests) >= self._window.size
                wait_s = None if due_s is None or full else max(0.0, due_s - time.monotonic())
                try:
                    async with asyncio.timeout(wait_s):
                        await wake.wait()
                except TimeoutError:
                    continue  # some item is due
                for request in [request for request in requests if request.done()]:
                    requests.remove(request)
                    request.result()
        finally:
            for request in requests:
                request.cancel()
            await asyncio.gather(*requests, return_exceptions=True)
            await client.close()

    async def _send(self, client: AsyncOpenSearch, items: list[Item]) -> None:
        sent_s = time.monotonic()
        for item in items:
            item.tries += 1
            item.first_tried_s = item.first_tried_s or sent_s
        body = b"".join(item.payload for item in items)
        self.sent.requests += 1
        self.sent.bytes += len(body)
        try:
            answers = await self._post(client, body, len(items))
        except (ClusterUnavailable, ClusterTimeout) as error:
            self._again(items, sent_s, error, retries=1)
        except ClusterRefused as error:
            self._refused_whole(items, sent_s, error)
        else:
            self._read(items, answers, sent_s)

    async def _post(self, client: AsyncOpenSearch, body: bytes, items: int) -> list[dict[str, Any]]:
        with cluster_errors(self._doing):
            answer = await client.transport.perform_request(
                "POST",
                f"/{self._index}/_bulk",
                params=self._parameters,
                body=body,
                headers=_NDJSON,
            )
        answers = answer.get("items") if isinstance(answer, dict) else None
        if not isinstance(answers, list) or len(answers) != items:
            raise ClusterUnavailable(f"{self._doing}: {NO_CLUSTER}")
        return answers

    def _read(self, items: list[Item], answers: list[dict[str, Any]], sent_s: float) -> None:
        put_off: list[Item] = []
        written_before = self.sent.written
        for item, answer in zip(items, answers, strict=True):
            outcome = read_item(answer, self._doing)
            if outcome is False:
                [said] = answer.values()
                self._trouble = f"{said['status']}: {(said.get('error') or {}).get('reason', '')}"
                put_off.append(item)
                continue
            if isinstance(outcome, Refusal):
                self.sent.refused += 1
                self._on_refused(item, outcome)
            else:
                self.sent.written += 1
            self._settle(item)
        self._budget.earn(self.sent.written - written_before)
        now_s = time.monotonic()
        if put_off:
            busy = ClusterUnavailable(f"{self._doing}: the cluster answers {self._trouble}")
            self._again(put_off, sent_s, busy, retries=len(put_off))
        elif now_s - sent_s > self._limits.slow_s:
            self._window.cut(sent_s, now_s)
        else:
            self._window.grow()

    def _refused_whole(self, items: list[Item], sent_s: float, error: ClusterRefused) -> None:
        if error.status >= _SERVER:
            self._again(items, sent_s, error, retries=1)
        elif error.status != _TOO_LARGE:
            raise error
        elif len(items) == 1:
            self.sent.refused += 1
            self._on_refused(items[0], Refusal(_TOO_LARGE, "larger than the cluster takes"))
            self._settle(items[0])
        else:
            self._queue.halve(items)
            self._queue.put_back(items)

    def _again(
        self, items: list[Item], sent_s: float, error: ClusterError, *, retries: int
    ) -> None:
        """Puts items off, or raises `error` where that has been done for long enough."""
        now_s = time.monotonic()
        self._window.cut(sent_s, now_s)
        self.sent.retries += retries
        waited_s = now_s - min(item.first_tried_s for item in items)
        if waited_s > self._limits.patience_s:
            raise ClusterUnavailable(f"{error}; asked for {waited_s:.0f} s, try again later")
        if not self._budget.spend(retries):
            raise ClusterUnavailable(
                f"{error}; {self._budget.spent:,} retries are more than it took, try again later"
            )
        for item in items:
            self._queue.put_off(item, now_s + self._patience.wait_s(item.tries, self._chance))

    def _settle(self, item: Item) -> None:
        with self._changed:
            self._held_items -= 1
            self._held_bytes -= len(item.payload)
            self._changed.notify_all()
        item.batch.settle()
