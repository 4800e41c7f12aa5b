"""Which calls come in, how much of them at once, and when the last one has left."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from rerank_core.errors import NotReadyError, OverloadError
from sidecar.config import Limits


class Gate:
    """Lets calls in until it is closed; from then on they are refused in words."""

    def __init__(self) -> None:
        self.calls = 0
        """Inside now."""
        self.bytes = 0
        """Of their requests."""
        self._closed = False
        self._empty = asyncio.Event()

    @contextmanager
    def inside(self, size_bytes: int, limits: Limits) -> Iterator[None]:
        """Holds a call for the length of the block.

        Raises `NotReadyError` once closed, `OverloadError` where the process could not bear more.
        """
        if self._closed:
            raise NotReadyError("the server is stopping; ask another one")
        if self.calls >= limits.max_calls:
            raise OverloadError(f"{self.calls} calls are under way, which is the limit")
        if self.bytes + size_bytes > limits.max_bytes_under_way:
            raise OverloadError(f"{self.bytes} bytes are under way; there is no room for this call")
        self.calls += 1
        self.bytes += size_bytes
        try:
            yield
        finally:
            self.calls -= 1
            self.bytes -= size_bytes
            if not self.calls:
                self._empty.set()

    async def close(self, grace_s: float) -> None:
        """Refuses calls from now on; returns when those inside have left, or after `grace_s`."""
        self._closed = True
        if not self.calls:
            return
        self._empty.clear()
        with suppress(TimeoutError):
            async with asyncio.timeout(grace_s):
                await self._empty.wait()
