"""From alias to concrete index and release, remembered for a moment."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from opensearchpy import AsyncOpenSearch

from rerank_core.cluster.release import Release, resolve_alias_async

# A swap is seen this much later at most; the index before it still stands then.
_FRESH_S = 1.0


@dataclass(frozen=True, slots=True)
class Resolved:
    """The one index behind an alias."""

    index: str
    release: Release


@dataclass
class AliasResolver:
    """Resolves aliases, at most once a second each."""

    client: AsyncOpenSearch
    _known: dict[str, tuple[float, Resolved]] = field(default_factory=dict)

    async def resolve(self, alias: str) -> Resolved:
        """As `resolve_alias_async`, which says what is raised."""
        since, resolved = self._known.get(alias, (-_FRESH_S, None))
        if resolved is not None and time.monotonic() - since < _FRESH_S:
            return resolved
        resolved = Resolved(*await resolve_alias_async(self.client, alias))
        self._known[alias] = (time.monotonic(), resolved)
        return resolved

    def forget(self, alias: str) -> None:
        """What was known is out of date."""
        self._known.pop(alias, None)
