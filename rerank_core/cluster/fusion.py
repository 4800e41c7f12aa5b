"""Reciprocal rank fusion: one order out of several legs'.

Cormack, Clarke, Buettcher: Reciprocal Rank Fusion outperforms Condorcet and individual Rank
Learning Methods, SIGIR 2009.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rerank_core.cluster.profile import Leg

# The paper's constant: how little the very first ranks stand out.
_K = 60


@dataclass(frozen=True, slots=True)
class LegRank:
    """Where a leg put a product, from 1, and with which score of its own."""

    leg: Leg
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

    `legs` are (id, score) lists, best first, each id once a leg.
    """
    found: dict[str, list[LegRank]] = {}
    for leg, hits in legs.items():
        for rank, (product, score) in enumerate(hits, start=1):
            found.setdefault(product, []).append(LegRank(leg, rank, score))
    fused = [
        Fused(product, sum(weights[at.leg] / (_K + at.rank) for at in ranks), tuple(ranks))
        for product, ranks in found.items()
    ]
    return sorted(fused, key=lambda product: (-product.score, product.id))
