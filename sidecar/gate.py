"""Which calls come in, how much of them at once, and when the last one has left."""

from __future__ import annotations

import asyncio
import math
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial

from rerank_core.errors import NotReadyError, OverloadError, TooLargeError
from sidecar.config import Limits

_MOST_OF_ONE = 0.75
"""Of calls and bytes, what one client may hold: the rest is there for others whatever it does."""


class Gate:
    """Lets calls in until it is closed; from then on they are refused in words."""

    def __init__(self) -> None:
        self.calls = 0
        """Inside now."""
        self.bytes = 0
        """Of their requests and, once they are answered, of their answers."""
        self.slow = 0
        """Those inside whose requests are slow to come."""
        self.calls_of: Counter[str] = Counter()
        """By client."""
        self.bytes_of: Counter[str] = Counter()
        """By client."""
        self.closed = False
        """Calls are refused."""
        self._empty = asyncio.Event()

    @contextmanager
    def inside(self, limits: Limits, client: str, *, last: bool = False) -> Iterator[Room]:
        """Holds a client's call, and room for its request as that comes, for the block's length.

        `last`: one that comes when the gate is closed is let in, too, to hear that in its answer.
        Raises `NotReadyError` once closed, `OverloadError` where the process could not bear more.
        """
        if self.closed and not last:
            raise NotReadyError("the server is stopping; ask another one")
        if self.calls >= limits.max_calls:
            raise OverloadError(f"{self.calls} calls are under way, which is the limit")
        if self.calls_of[client] >= most_of_one(limits.max_calls):
            raise OverloadError(
                f"{self.calls_of[client]} calls of this client are under way, which is its share"
            )
        room = Room(self, limits, client)
        self._enter(client, 0)
        try:
            yield room
        finally:
            self._leave(client, room.bytes)

    def _enter(self, client: str, size_bytes: int) -> None:
        self.calls += 1
        self.bytes += size_bytes
        self.calls_of[client] += 1
        self.bytes_of[client] += size_bytes

    def _leave(self, client: str, size_bytes: int) -> None:
        self.calls -= 1
        self.bytes -= size_bytes
        _less(self.calls_of, client, 1)
        _less(self.bytes_of, client, size_bytes)
        if not self.calls:
            self._empty.set()

    async def close(self, grace_s: float) -> None:
        """Refuses calls from now on; returns when those inside have left, or after `grace_s`."""
        self.closed = True
        with suppress(TimeoutError):
            async with asyncio.timeout(grace_s):
                while self.calls:  # the last one may have an answer that is to be sent
                    self._empty.clear()
                    await self._empty.wait()


def most_of_one(limit: int) -> int:
    """One client's share of a limit."""
    return math.ceil(_MOST_OF_ONE * limit)


def _less(held: Counter[str], client: str, count: int) -> None:
    held[client] -= count
    if held[client] <= 0:
        del held[client]  # clients come and go


class Room:
    """What one call's request takes up, as far as it has come."""

    def __init__(self, gate: Gate, limits: Limits, client: str) -> None:
        self._gate = gate
        self._client = client
        self._limits = limits
        self.bytes = 0

    def take(self, size_bytes: int) -> None:
        """For bytes that have come. Raises `OverloadError` and `TooLargeError`."""
        self.fits(self.bytes + size_bytes)
        if self._gate.bytes + size_bytes > self._limits.max_bytes_under_way:
            raise OverloadError(
                f"{self._gate.bytes} bytes are under way; there is no room for this call"
            )
        share = most_of_one(self._limits.max_bytes_under_way)
        held = self._gate.bytes_of[self._client]
        if held and held + size_bytes > share:
            raise OverloadError(
                f"{held} bytes of this client are under way; there is no room for more of it"
            )
        self.bytes += size_bytes
        self._gate.bytes += size_bytes
        self._gate.bytes_of[self._client] += size_bytes

    def answered(self, size_bytes: int) -> Callable[[], None]:
        """Holds the call's answer, when the call itself has left; what is given ends that.

        Never refused, for the work is done. While its client does not take it, others are.
        """
        gate, client = self._gate, self._client
        gate._enter(client, size_bytes)  # noqa: SLF001  a room is the gate's own
        return partial(gate._leave, client, size_bytes)  # noqa: SLF001  as above

    @contextmanager
    def slowly(self) -> Iterator[None]:
        """Holds the most that a request may have, for the length of the block.

        For one that is slow to come where nobody says how much of it has come. What is slow has
        room of its own, so that it keeps nobody out who is not. Raises `OverloadError`.
        """
        gate, limits = self._gate, self._limits
        if gate.slow >= limits.max_bytes_under_way // limits.max_message_bytes:
            raise OverloadError(f"{gate.slow} requests are slow to come, which is the limit")
        gate.slow += 1
        try:
            yield
        finally:
            gate.slow -= 1

    def fits(self, size_bytes: int) -> None:
        """Raises `TooLargeError` where a request is longer than one may be."""
        most = self._limits.max_message_bytes
        if size_bytes > most:
            raise TooLargeError(f"the request has more than the {most} bytes allowed")
