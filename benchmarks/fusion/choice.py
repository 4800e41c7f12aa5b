"""A method and a weight, chosen on judged queries and held against queries beside them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from benchmarks.folds import Values, choose_by_folds, over_sets, require_queries
from rerank_core.cluster.fusion import Method, fuse
from rerank_core.measures import (
    Interval,
    Judgments,
    Run,
    Scale,
    bootstrap,
    ndcg,
    paired_differences,
    ranked,
)

LEXICAL, VECTOR = "lexical", "vector"
STEPS = 10
"""The lexical leg's weight goes from 1 to 9 tenths, the vector leg has the rest."""


@dataclass(frozen=True, slots=True)
class Setting:
    """One way to fuse."""

    method: Method
    lexical: float

    @property
    def weights(self) -> dict[str, float]:
        """By leg; they sum to 1."""
        return {LEXICAL: self.lexical, VECTOR: round(1 - self.lexical, 10)}


EQUAL = Setting("rrf", 0.5)


@dataclass(frozen=True, slots=True)
class Judged:
    """What both legs found of one set's queries, and what it is worth."""

    name: str
    legs: Mapping[str, Run]
    judgments: Judgments
    scale: Scale


@dataclass(frozen=True)
class SetWorth:
    """What the choice is worth on one set, each query by settings chosen without it."""

    name: str
    queries: int
    legs: Mapping[str, Interval]
    """nDCG@10 of each leg alone."""
    equal: Interval
    """Of both by ranks, half and half."""
    held_out: Interval
    over_better_leg: Interval
    """Held out less the leg that is better on this set, query by query."""
    over_equal: Interval


@dataclass(frozen=True)
class Choice:
    """The setting that is best on all queries, and what choosing so is worth on others.

    Of several sets each counts the same, however many queries it has.
    """

    setting: Setting
    ndcg: float
    """On the queries it was chosen on."""
    grid: Mapping[Setting, float]
    """The same of each setting that was looked at."""
    held_out: Interval
    """Of each query by the setting that is best on the other folds."""
    folds: tuple[Setting, ...]
    """What each fold's others chose: as unstable as it looks."""
    legs: Mapping[str, float]
    """nDCG@10 of each leg alone."""
    sets: tuple[SetWorth, ...]


def settings() -> tuple[Setting, ...]:
    """Equal weights first, so that they win a tie."""
    tenths = sorted(range(1, STEPS), key=lambda tenth: abs(tenth - STEPS / 2))
    methods: tuple[Method, ...] = ("rrf", "minmax")
    return tuple(Setting(method, tenth / STEPS) for method in methods for tenth in tenths)


def choose(sets: Sequence[Judged], *, folds: int = 5, repeats: int = 1, seed: int = 0) -> Choice:
    """One setting for all sets. Raises `InputError` where a set has fewer queries than folds."""
    for one in sets:
        require_queries(one.name, len(one.judgments), folds)
    measured = {
        setting: {
            one.name: ndcg(one.judgments, fused(one.legs, setting), one.scale) for one in sets
        }
        for setting in settings()
    }
    alone = {
        one.name: {leg: ndcg(one.judgments, run, one.scale) for leg, run in one.legs.items()}
        for one in sets
    }
    chosen = choose_by_folds(measured, folds=folds, repeats=repeats, seed=seed)
    return Choice(
        setting=chosen.setting,
        ndcg=chosen.grid[chosen.setting],
        grid=chosen.grid,
        held_out=over_sets(chosen.held_out, seed=seed),
        folds=chosen.folds,
        legs={
            leg: fmean(fmean(legs[leg].values()) for legs in alone.values())
            for leg in (LEXICAL, VECTOR)
        },
        sets=tuple(
            _worth(name, alone[name], measured[EQUAL][name], held_out, seed)
            for name, held_out in chosen.held_out.items()
        ),
    )


def fused(legs: Mapping[str, Run], setting: Setting) -> dict[str, dict[str, float]]:
    """Both legs' runs as one, by the code of the sidecar."""
    runs = {}
    for query in legs[LEXICAL]:
        found = {
            leg: [(key, run[query][key]) for key in ranked(run[query])] for leg, run in legs.items()
        }
        products = fuse(setting.method, found, setting.weights)
        runs[query] = {product.id: product.score for product in products}
    return runs


def _worth(
    name: str, legs: Mapping[str, Values], equal: Values, held_out: Values, seed: int
) -> SetWorth:
    better = max(legs.values(), key=lambda values: fmean(values.values()))
    return SetWorth(
        name=name,
        queries=len(held_out),
        legs={leg: bootstrap(values, seed=seed) for leg, values in legs.items()},
        equal=bootstrap(equal, seed=seed),
        held_out=bootstrap(held_out, seed=seed),
        over_better_leg=bootstrap(paired_differences(held_out, better), seed=seed),
        over_equal=bootstrap(paired_differences(held_out, equal), seed=seed),
    )
