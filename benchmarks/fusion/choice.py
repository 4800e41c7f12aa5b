"""A method and a weight, chosen on judged queries and held against queries beside them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

import numpy as np

from rerank_core.cluster.fusion import Method, fuse
from rerank_core.errors import InputError
from rerank_core.measures import Interval, Judgments, Run, Scale, bootstrap, ndcg, ranked

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


@dataclass(frozen=True, slots=True)
class Choice:
    """The setting that is best on all queries, and what choosing so is worth on others."""

    setting: Setting
    ndcg: float
    """On the queries it was chosen on."""
    held_out: Interval
    """Of each query by the setting that is best on the other folds."""
    folds: tuple[Setting, ...]
    """What each fold's others chose: as unstable as it looks."""
    legs: Mapping[str, float]
    """nDCG@10 of each leg alone."""


def settings() -> tuple[Setting, ...]:
    """Equal weights first, so that they win a tie."""
    tenths = sorted(range(1, STEPS), key=lambda tenth: abs(tenth - STEPS / 2))
    methods: tuple[Method, ...] = ("rrf", "minmax")
    return tuple(Setting(method, tenth / STEPS) for method in methods for tenth in tenths)


def choose(
    legs: Mapping[str, Run], judgments: Judgments, scale: Scale, *, folds: int = 5, seed: int = 0
) -> Choice:
    """Raises `InputError` where there are fewer queries than folds."""
    queries = sorted(judgments)
    if len(queries) < folds:
        raise InputError("queries", f"{len(queries)} are judged, {folds} folds need more")
    measured = {setting: ndcg(judgments, fused(legs, setting), scale) for setting in settings()}
    best = _best(measured, queries)
    held_out: dict[str, float] = {}
    chosen = []
    for fold in _folds(queries, folds, seed):
        others = [query for query in queries if query not in fold]
        setting = _best(measured, others)
        chosen.append(setting)
        held_out |= {query: measured[setting][query] for query in fold}
    return Choice(
        setting=best,
        ndcg=_mean(measured[best], queries),
        held_out=bootstrap(held_out, seed=seed),
        folds=tuple(chosen),
        legs={leg: _mean(ndcg(judgments, run, scale), queries) for leg, run in legs.items()},
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


def _folds(queries: Sequence[str], folds: int, seed: int) -> Iterator[set[str]]:
    drawn = np.random.default_rng(seed).permutation(len(queries))
    for part in np.array_split(drawn, folds):
        yield {queries[number] for number in part}


def _best(measured: Mapping[Setting, Values], queries: Sequence[str]) -> Setting:
    return max(measured, key=lambda setting: _mean(measured[setting], queries))


def _mean(values: Values, queries: Sequence[str]) -> float:
    return fmean(values[query] for query in queries)
