"""What a caller gets back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from rerank_client.errors import ClientError


@dataclass(frozen=True, slots=True)
class ModelVersion:
    """Which weights computed an answer, and how."""

    id: str
    hash: str
    """64 hex digits; scores of different hashes are not comparable."""
    numeric_path: str


@dataclass(frozen=True, slots=True)
class Score:
    """What the cross-encoder says of a document."""

    rank: int
    """Place in the answer, from 1."""
    logit: float
    """What the order is by."""
    probability: float | None
    """That the document is relevant; None where the model is not calibrated."""


@dataclass(frozen=True, slots=True)
class RankedDocument:
    """A document at its place in the answer."""

    id: str
    index: int
    """Place in the request's list, from 0."""
    first_stage_score: float | None
    first_stage_rank: int
    rerank: Score | None
    """None: it was not scored."""


@dataclass(frozen=True, slots=True)
class Ranking:
    """Documents, best first."""

    documents: tuple[RankedDocument, ...]
    degraded: tuple[str, ...]
    """Why this is less than was asked for, such as ``DEADLINE``; empty when it is all."""
    scored: int
    """How many of the request's documents were scored."""
    model: ModelVersion | None
    """None where nothing was scored."""
    stages_ms: Mapping[str, float]
    """Milliseconds by stage, in the order in which they began."""
    error: ClientError | None = None
    """What kept the server from answering; then this is the first stage's order."""


@dataclass(frozen=True, slots=True)
class Embedding:
    """One vector a text, in the order of the texts."""

    vectors: tuple[tuple[float, ...], ...]
    model: ModelVersion
    stages_ms: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class LegRank:
    """Where one leg of the first stage had a hit."""

    leg: str
    rank: int
    score: float


@dataclass(frozen=True, slots=True)
class StagePlace:
    """Where a stage put a hit."""

    stage: str
    rank: int
    score: float | None
    """By which it did; None where it orders by none."""


@dataclass(frozen=True, slots=True)
class LegPlan:
    """One leg of the first stage as it was asked."""

    leg: str
    template_id: str
    weight: float


@dataclass(frozen=True, slots=True)
class SearchPlan:
    """What a profile came to for one search."""

    profile_json: str
    legs: tuple[LegPlan, ...]
    fusion: str
    """Who fused, by which method, and why."""
    templates: str
    """``stored`` or ``rendered``."""


@dataclass(frozen=True, slots=True)
class Explanation:
    """How a hit came to its place."""

    legs: tuple[LegRank, ...]
    placed_by: str
    """The stage that moved it last."""
    places: tuple[StagePlace, ...] = ()
    """Its place after each stage that ran."""
    rules: tuple[str, ...] = ()
    """What the profile's rules did to it."""


@dataclass(frozen=True, slots=True)
class Hit:
    """A product that was found."""

    id: str
    rank: int
    """Place in the whole result, from 1."""
    first_stage_score: float
    first_stage_rank: int
    rerank: Score | None
    fields: Mapping[str, tuple[str, ...]]
    explanation: Explanation | None
    """None where it was not asked for."""


@dataclass(frozen=True, slots=True)
class SearchResult:
    """One page of hits, best first."""

    hits: tuple[Hit, ...]
    total: int
    """Matches of the lexical leg; a lower bound unless `total_is_exact`."""
    total_is_exact: bool
    next_page_token: str
    """Empty on the last page."""
    facets: Mapping[str, Mapping[str, int]]
    """Counts by value, by facet, in the order of the request."""
    degraded: tuple[str, ...]
    scored: int
    index: str
    rerank_model: ModelVersion | None
    embed_model: ModelVersion | None
    stages_ms: Mapping[str, float]
    fallback: str = ""
    """The template that was asked because the profile's legs found nothing."""
    plan: SearchPlan | None = None
    """None where it was not asked for."""


@dataclass(frozen=True, slots=True)
class ModelDescription:
    """One of the server's models."""

    version: ModelVersion
    kind: Literal["cross-encoder", "bi-encoder"]
    is_default: bool
    query_tokens: int
    product_tokens: int
    recipe_fields: tuple[str, ...]
    recipe_hash: str
    deterministic: bool
    """True where a score is bit-equal whatever it is computed with."""
    calibrated: bool
    """True where answers carry a probability."""
    dimensions: int
    """Of a bi-encoder's vectors; 0 for a cross-encoder."""
    licence: str
    loaded: tuple[str, ...]
    """Names of all models of the server."""
    path_reason: str
    """Why it computes on its numeric path."""
    path_is_fallback: bool
    """Another path was wanted and could not be had."""
