"""Which calls come in, and when the last one has left."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from rerank_core.errors import NotReadyError


class Gate:
    """Lets calls in until it is closed; from then on they are refused in words."""

    def __init__(self) -> None:
        self._inside = 0
        self._closed = False
        self._empty = asyncio.Event()

    @contextmanager
    def inside(self) -> Iterator[None]:
        """Holds a call for the length of the block. Raises `NotReadyError` once closed."""
        if self._closed:
            raise NotReadyError("the server is stopping; ask another one")
        self._inside += 1
        try:
            yield
        finally:
            self._inside -= 1
            if not self._inside:
                self._empty.set()

    async def close(self, grace_s: float) -> None:
        """Refuses calls from now on; returns when those inside have left, or after `grace_s`."""
        self._closed = True
        if not self._inside:
            return
        self._empty.clear()
        with suppress(TimeoutError):
            async with asyncio.timeout(grace_s):
                await self._empty.wait()
