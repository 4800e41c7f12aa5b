"""From the first stage's order and the rerank's to the shop's: blend, bury, pin, collapse."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from rerank_core.cluster.fusion import Fused, LegRank
from rerank_core.cluster.profile import Profile
from sidecar.ranking import Placed, Score


@dataclass(frozen=True, slots=True)
class Place:
    """Where a stage put a product."""

    stage: str
    rank: int
    """From 1."""
    score: float | None = None
    """By which it ordered."""


@dataclass(frozen=True, slots=True)
class Arranged:
    """A product in the whole result, and how it came to its place."""

    id: str
    first_stage_rank: int
    """0: no leg found it, a rule pinned it."""
    first_stage_score: float
    legs: tuple[LegRank, ...]
    score: Score | None
    """None: not reranked."""
    places: tuple[Place, ...] = ()
    rules: tuple[str, ...] = ()

    @property
    def as_list(self) -> list[Any]:
        """As a page token keeps it: short, in JSON's own kinds."""
        return [
            self.id,
            self.first_stage_rank,
            self.first_stage_score,
            [[at.leg, at.rank, at.score] for at in self.legs],
            [self.score.logit, self.score.probability] if self.score else None,
            [[at.stage, at.rank, at.score] for at in self.places],
            list(self.rules),
        ]

    @classmethod
    def of_list(cls, kept: Sequence[Any]) -> Arranged:
        """The same from what `as_list` gave."""
        key, rank, first, legs, score, places, rules = kept
        return cls(
            key,
            rank,
            first,
            tuple(LegRank(*at) for at in legs),
            Score(*score) if score else None,
            tuple(Place(*at) for at in places),
            tuple(rules),
        )

    @property
    def placed_by(self) -> str:
        """The stage that moved it last: its place before was another."""
        moved = self.places[0].stage if self.places else "pin"
        for before, after in zip(self.places, self.places[1:], strict=False):
            if after.rank != before.rank:
                moved = after.stage
        return moved


def arrange(
    fused: Sequence[Fused],
    placed: Sequence[Placed],
    profile: Profile,
    query: str,
    sources: Mapping[str, Mapping[str, Any]],
) -> list[Arranged]:
    """The whole result, best first; `placed` are the products of `fused` as the rerank left them.

    `sources` are stored fields by key; a pinned product among them that no leg found stands, too.
    """
    fused_ranks = {product.id: rank for rank, product in enumerate(fused, start=1)}
    by_id = {product.id: product for product in fused}
    order = [
        Arranged(
            id=at.candidate.id,
            first_stage_rank=fused_ranks[at.candidate.id],
            first_stage_score=by_id[at.candidate.id].score,
            legs=by_id[at.candidate.id].legs,
            score=at.score,
            places=(Place("fuse", fused_ranks[at.candidate.id], by_id[at.candidate.id].score),),
        )
        for at in placed
    ]
    if any(hit.score for hit in order):
        order = _after("rerank", order, [hit.score.logit if hit.score else None for hit in order])
    if profile.blend:
        order = _blended(order, profile.blend)
    order = _ruled(order, profile, query, sources)
    return _collapsed(order, profile.collapse, sources) if profile.collapse else order


def _after(
    stage: str, order: Sequence[Arranged], scores: Sequence[float | None] = ()
) -> list[Arranged]:
    """The order as a stage left it, noted on each."""
    known = scores or [None] * len(order)
    return [
        replace(hit, places=(*hit.places, Place(stage, rank, score)))
        for rank, (hit, score) in enumerate(zip(order, known, strict=True), start=1)
    ]


def _blended(order: Sequence[Arranged], share: float) -> list[Arranged]:
    """Reranked products, which stand first, by the weighted sum of both scores on 0 to 1."""
    reranked = [hit for hit in order if hit.score]
    if not reranked:
        return list(order)
    first = _on_unit([hit.first_stage_score for hit in reranked])
    second = _on_unit([hit.score.logit for hit in reranked if hit.score])
    scores = [share * one + (1 - share) * two for one, two in zip(first, second, strict=True)]
    at = sorted(range(len(reranked)), key=lambda number: (-scores[number], number))
    rest = list(order[len(reranked) :])
    return _after(
        "blend",
        [*(reranked[number] for number in at), *rest],
        [*(scores[number] for number in at), *(None for _ in rest)],
    )


def _ruled(
    order: list[Arranged],
    profile: Profile,
    query: str,
    sources: Mapping[str, Mapping[str, Any]],
) -> list[Arranged]:
    buried: dict[str, str] = {}
    pinned: dict[str, str] = {}
    for number, rule in enumerate(profile.rules):
        if rule.applies(query):
            buried |= dict.fromkeys(rule.buried, f"buried by rules[{number}]")
            for key in rule.pinned:
                pinned.setdefault(key, f"pinned by rules[{number}]")
    if any(hit.id in buried for hit in order):
        down = [
            replace(hit, rules=(*hit.rules, buried[hit.id])) for hit in order if hit.id in buried
        ]
        order = _after("bury", [*(hit for hit in order if hit.id not in buried), *down])
    found = {hit.id: hit for hit in order}
    up = [
        replace(found.get(key) or Arranged(key, 0, 0.0, (), None), rules=(why,))
        for key, why in pinned.items()
        if key in found or key in sources
    ]
    if up:
        order = _after("pin", [*up, *(hit for hit in order if hit.id not in pinned)])
    return order


def pinned_by(profile: Profile, query: str) -> list[str]:
    """Keys that rules pin for a query, in their order."""
    rules = [rule for rule in profile.rules if rule.applies(query)]
    return list(dict.fromkeys(key for rule in rules for key in rule.pinned))


def _collapsed(
    order: Sequence[Arranged], field: str, sources: Mapping[str, Mapping[str, Any]]
) -> list[Arranged]:
    first: dict[str, int] = {}
    kept: list[Arranged] = []
    hidden: dict[int, list[str]] = {}
    for hit in order:
        value = sources.get(hit.id, {}).get(field)
        key = "" if value is None else str(value)
        if key and key in first:
            hidden.setdefault(first[key], []).append(hit.id)
            continue
        if key:
            first[key] = len(kept)
        kept.append(hit)
    if not hidden:
        return list(order)
    told = [
        replace(hit, rules=(*hit.rules, f"stands for {len(hidden[at])} more of its {field}"))
        if at in hidden
        else hit
        for at, hit in enumerate(kept)
    ]
    return _after("collapse", told)


def _on_unit(values: Sequence[float]) -> list[float]:
    least, greatest = min(values), max(values)
    if least == greatest:
        return [1.0] * len(values)
    return [(value - least) / (greatest - least) for value in values]
