"""Fusion: one order out of several legs'."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeVar

Method = Literal["rrf", "minmax"]
Leg = TypeVar("Leg", bound=str)

RANK_CONSTANT = 60
"""The paper's, of RRF: how little the very first ranks stand out."""
_FLOOR = 0.001


@dataclass(frozen=True, slots=True)
class LegRank:
    """Where a leg put a product, from 1, and with which score of its own."""

    leg: str
    rank: int
    score: float


@dataclass(frozen=True, slots=True)
class Fused:
    """A product, its fused score, and how each leg that found it placed it."""

    id: str
    score: float
    legs: tuple[LegRank, ...]


def reciprocal_rank_fusion(
    legs: Mapping[Leg, Sequence[tuple[str, float]]], weights: Mapping[Leg, float]
) -> list[Fused]:
    """Products by falling sum of weight / (60 + rank) over the legs, ties by id.

    `legs` are (id, score) lists, best first, each id once a leg. Cormack, Clarke, Buettcher:
    Reciprocal Rank Fusion outperforms Condorcet and individual Rank Learning Methods, SIGIR 2009.
    """
    parts = {
        leg: [weights[leg] / (RANK_CONSTANT + rank) for rank in range(1, len(hits) + 1)]
        for leg, hits in legs.items()
    }
    return _summed(legs, parts)


def weighted_sum(
    legs: Mapping[Leg, Sequence[tuple[str, float]]], weights: Mapping[Leg, float]
) -> list[Fused]:
    """Products by falling sum of weight * score over the legs, ties by id.

    Scores are put on 0 to 1 by the least and the greatest of their leg; the least has .001, so that
    it stands above what the leg did not find, and where all are equal they are 1: as OpenSearch's
    min_max normalisation has it.
    """
    parts = {
        leg: [weights[leg] * value for value in _on_unit([score for _, score in hits])]
        for leg, hits in legs.items()
    }
    return _summed(legs, parts)


def fuse(
    method: Method,
    legs: Mapping[Leg, Sequence[tuple[str, float]]],
    weights: Mapping[Leg, float],
) -> list[Fused]:
    """By the method of that name."""
    return (reciprocal_rank_fusion if method == "rrf" else weighted_sum)(legs, weights)


def _summed(
    legs: Mapping[Leg, Sequence[tuple[str, float]]], parts: Mapping[Leg, Sequence[float]]
) -> list[Fused]:
    found: dict[str, list[LegRank]] = {}
    sums: dict[str, float] = {}
    for leg, hits in legs.items():
        for rank, ((product, score), part) in enumerate(
            zip(hits, parts[leg], strict=True), start=1
        ):
            found.setdefault(product, []).append(LegRank(leg, rank, score))
            sums[product] = sums.get(product, 0.0) + part
    fused = [Fused(product, sums[product], tuple(ranks)) for product, ranks in found.items()]
    return sorted(fused, key=lambda product: (-product.score, product.id))


def _on_unit(scores: Sequence[float]) -> list[float]:
    least, greatest = min(scores, default=0.0), max(scores, default=0.0)
    if greatest == least:
        return [1.0] * len(scores)
    return [max(_FLOOR, (score - least) / (greatest - least)) for score in scores]
