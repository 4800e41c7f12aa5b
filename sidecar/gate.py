"""Which calls come in, how much of them at once, and when the last one has left."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from rerank_core.errors import NotReadyError, OverloadError, TooLargeError
from sidecar.config import Limits


class Gate:
    """Lets calls in until it is closed; from then on they are refused in words."""

    def __init__(self) -> None:
        self.calls = 0
        """Inside now."""
        self.bytes = 0
        """Of their requests."""
        self.slow = 0
        """Those inside whose requests are slow to come."""
        self.closed = False
        """Calls are refused."""
        self._empty = asyncio.Event()

    @contextmanager
    def inside(self, limits: Limits, *, last: bool = False) -> Iterator[Room]:
        """Holds a call, and room for its request as that comes, for the length of the block.

        `last`: one that comes when the gate is closed is let in, too, to hear that in its answer.
        Raises `NotReadyError` once closed, `OverloadError` where the process could not bear more.
        """
        if self.closed and not last:
            raise NotReadyError("the server is stopping; ask another one")
        if self.calls >= limits.max_calls:
            raise OverloadError(f"{self.calls} calls are under way, which is the limit")
        room = Room(self, limits)
        self.calls += 1
        try:
            yield room
        finally:
            self.calls -= 1
            self.bytes -= room.bytes
            if not self.calls:
                self._empty.set()

    async def close(self, grace_s: float) -> None:
        """Refuses calls from now on; returns when those inside have left, or after `grace_s`."""
        self.closed = True
        if not self.calls:
            return
        self._empty.clear()
        with suppress(TimeoutError):
            async with asyncio.timeout(grace_s):
                await self._empty.wait()


class Room:
    """What one call's request takes up, as far as it has come."""

    def __init__(self, gate: Gate, limits: Limits) -> None:
        self._gate = gate
        self._limits = limits
        self.bytes = 0

    def take(self, size_bytes: int) -> None:
        """For bytes that have come. Raises `OverloadError` and `TooLargeError`."""
        self.fits(self.bytes + size_bytes)
        if self._gate.bytes + size_bytes > self._limits.max_bytes_under_way:
            raise OverloadError(
                f"{self._gate.bytes} bytes are under way; there is no room for this call"
            )
        self.bytes += size_bytes
        self._gate.bytes += size_bytes

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
