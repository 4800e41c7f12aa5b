"""What a search answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rerank_core.cluster.profile import Profile
from rerank_core.engine import BiEncoder, CrossEncoder
from sidecar.arrangement import Arranged
from sidecar.degraded import Degraded
from sidecar.legs import FirstStage
from sidecar.models import Served
from sidecar.ranking import Ranking


@dataclass(frozen=True, slots=True)
class FoundHit:
    """A product at its place in the whole result."""

    arranged: Arranged
    rank: int
    """From 1."""
    fields: Mapping[str, Any]
    """The stored fields that the profile returns."""


@dataclass(frozen=True, slots=True)
class Found:
    """One page."""

    hits: tuple[FoundHit, ...]
    total: int
    """Matches of the lexical leg."""
    total_is_exact: bool
    facets: Mapping[str, Sequence[tuple[str, int]]]
    next_page_token: str
    degraded: tuple[Degraded, ...]
    scored: int
    """Of the whole result, by the call for its first page."""
    ranking: Ranking
    """What this call ranked itself: nothing on a further page."""
    index: str
    reranker: Served[CrossEncoder] | None
    encoder: Served[BiEncoder] | None
    profile: Profile
    plan: FirstStage | None
    """None: a further page, which asks no legs."""
    fallback: str = ""
    """The template that was asked because the legs found nothing."""


def hits_of(
    page: Sequence[Arranged],
    offset: int,
    sources: Mapping[str, Mapping[str, Any]],
    profile: Profile,
) -> tuple[FoundHit, ...]:
    """Those that are still there, each at its place in the whole."""
    return tuple(
        FoundHit(hit, rank, _returned(sources[hit.id], profile))
        for rank, hit in enumerate(page, start=offset + 1)
        if hit.id in sources
    )


def _returned(source: Mapping[str, Any], profile: Profile) -> dict[str, Any]:
    return {name: source[name] for name in profile.fields if name in source}
