"""A method and a weight, chosen on judged queries and held against queries beside them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

import numpy as np

from rerank_core.cluster.fusion import Method, fuse
from rerank_core.errors import InputError
from rerank_core.measures import (
    Interval,
    Judgments,
    Run,
    Scale,
    bootstrap,
    ndcg,
    paired_test,
    ranked,
)

LEXICAL, VECTOR = "lexical", "vector"
STEPS = 10
"""The lexical leg's weight goes from 1 to 9 tenths, the vector leg has the rest."""

Values = Mapping[str, float]
"""nDCG@10 by query."""


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
    """One setting for all sets. Each is cut into folds by itself, `repeats` times anew.

    Raises `InputError` where a set has fewer queries than folds.
    """
    for one in sets:
        if len(one.judgments) < folds:
            raise InputError(
                f"queries of {one.name}",
                f"{len(one.judgments)} are judged, {folds} folds need more",
            )
    measured = {
        setting: {
            one.name: ndcg(one.judgments, fused(one.legs, setting), one.scale) for one in sets
        }
        for setting in settings()
    }
    names = {one.name: sorted(one.judgments) for one in sets}
    random = np.random.default_rng(seed)
    seen: dict[str, defaultdict[str, list[float]]] = {name: defaultdict(list) for name in names}
    chosen = []
    for _ in range(repeats):
        for fold in _folds(names, folds, random):
            others = {
                name: [query for query in queries if query not in fold[name]]
                for name, queries in names.items()
            }
            setting = _best(measured, others)
            chosen.append(setting)
            for name, queries in fold.items():
                for query in queries:
                    seen[name][query].append(measured[setting][name][query])
    held_out = {
        name: {query: fmean(values) for query, values in queries.items()}
        for name, queries in seen.items()
    }
    alone = {
        one.name: {leg: ndcg(one.judgments, run, one.scale) for leg, run in one.legs.items()}
        for one in sets
    }
    best = _best(measured, names)
    return Choice(
        setting=best,
        ndcg=_mean(measured[best], names),
        grid={setting: _mean(values, names) for setting, values in measured.items()},
        held_out=_over_sets(held_out, seed),
        folds=tuple(chosen),
        legs={
            leg: fmean(fmean(alone[name][leg].values()) for name in names)
            for leg in (LEXICAL, VECTOR)
        },
        sets=tuple(
            _worth(name, alone[name], measured[EQUAL][name], held_out[name], seed) for name in names
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


def _folds(
    names: Mapping[str, Sequence[str]], folds: int, random: np.random.Generator
) -> Iterator[dict[str, set[str]]]:
    """Each query is in one of them, and each has its share of every set."""
    parts = {
        name: np.array_split(random.permutation(len(queries)), folds)
        for name, queries in names.items()
    }
    for fold in range(folds):
        yield {
            name: {queries[number] for number in parts[name][fold]}
            for name, queries in names.items()
        }


def _best(
    measured: Mapping[Setting, Mapping[str, Values]], names: Mapping[str, Sequence[str]]
) -> Setting:
    return max(measured, key=lambda setting: _mean(measured[setting], names))


def _mean(values: Mapping[str, Values], names: Mapping[str, Sequence[str]]) -> float:
    return fmean(fmean(values[name][query] for query in queries) for name, queries in names.items())


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
        over_better_leg=_gain(held_out, better, seed),
        over_equal=_gain(held_out, equal, seed),
    )


def _gain(ours: Values, theirs: Values, seed: int) -> Interval:
    return paired_test(ours, theirs, flips=1, seed=seed).difference


def _over_sets(values: Mapping[str, Values], seed: int, *, resamples: int = 10_000) -> Interval:
    """The mean over sets of their means; queries are drawn anew within each set."""
    random = np.random.default_rng(seed)
    drawn = []
    for queries in values.values():
        array = np.array([queries[query] for query in sorted(queries)])
        drawn.append(array[random.integers(0, len(array), (resamples, len(array)))].mean(axis=1))
    level = 0.95
    low, high = np.quantile(np.mean(drawn, axis=0), [(1 - level) / 2, (1 + level) / 2])
    mean = fmean(fmean(queries.values()) for queries in values.values())
    return Interval(mean, float(low), float(high), level)
