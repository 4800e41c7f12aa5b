"""From alias to concrete index and release, remembered for a moment."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from opensearchpy import AsyncOpenSearch

from rerank_core.cluster.release import Release, resolve_alias_async
from rerank_core.errors import ClusterTimeout

# A swap is seen this much later at most; the index before it still stands then.
_FRESH_S = 1.0


@dataclass(frozen=True, slots=True)
class Resolved:
    """The one index behind an alias."""

    index: str
    release: Release
    fields: Mapping[str, str] = field(default_factory=dict)
    """Types of the index's fields by their paths."""
    filters: tuple[Mapping[str, Any], ...] = ()
    """The alias's own, under which its index is searched."""


@dataclass
class AliasResolver:
    """Resolves aliases, at most once a second each, however many ask at once.

    For one event loop.
    """

    client: AsyncOpenSearch
    _known: dict[str, tuple[float, Resolved]] = field(default_factory=dict)
    _requests: dict[str, asyncio.Task[Resolved]] = field(default_factory=dict)
    """Those under way."""

    async def resolve(self, alias: str, timeout_s: float) -> Resolved:
        """As `resolve_alias_async`, which says what is raised.

        Nobody waits longer than their own `timeout_s`, nor fails by the shorter one of who asked
        first; a caller that goes away leaves the request to the others.
        """
        deadline = time.monotonic() + timeout_s
        while True:
            since, resolved = self._known.get(alias, (0.0, None))
            if resolved is not None and time.monotonic() - since < _FRESH_S:
                return resolved
            remaining_s = deadline - time.monotonic()
            if remaining_s <= 0:
                raise ClusterTimeout(
                    f"resolving alias {alias!r}: the cluster did not answer in time"
                )
            shared = self._requests.get(alias)
            request = shared or self._request(alias, remaining_s)
            # Unlike a plain await, this leaves the request running when it is given up.
            done, _ = await asyncio.wait([request], timeout=remaining_s)
            if done and not (shared and isinstance(request.exception(), ClusterTimeout)):
                return request.result()

    def forget(self, alias: str) -> None:
        """What was known, or is being asked now, is out of date."""
        self._known.pop(alias, None)
        self._requests.pop(alias, None)

    def _request(self, alias: str, timeout_s: float) -> asyncio.Task[Resolved]:
        async def ask() -> Resolved:
            return Resolved(*await resolve_alias_async(self.client, alias, timeout_s))

        request = self._requests[alias] = asyncio.create_task(ask())
        request.add_done_callback(partial(self._note, alias))
        return request

    def _note(self, alias: str, request: asyncio.Task[Resolved]) -> None:
        # Looked at in any case: nobody may be left to hear of it.
        failed = request.cancelled() or request.exception() is not None
        if self._requests.get(alias) is request:
            del self._requests[alias]
            if not failed:
                self._known[alias] = (time.monotonic(), request.result())
