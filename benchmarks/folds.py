"""One setting for several sets, and what choosing it is worth on queries without a part in it."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Generic, TypeVar

import numpy as np

from rerank_core.errors import InputError
from rerank_core.measures import Interval

Setting = TypeVar("Setting")

Values = Mapping[str, float]
"""A measure by query."""

REPEATS = 5
"""Of a cross-validation: with some 60 queries a set, how they are cut moves the figure."""

_LEVEL = 0.95


@dataclass(frozen=True)
class Chosen(Generic[Setting]):
    """The setting that is best on all queries, and each query by one that is best on others."""

    setting: Setting
    grid: Mapping[Setting, float]
    """Mean over sets of each setting, on the queries of the choice."""
    held_out: Mapping[str, Values]
    """By set: of each query the mean over repeats, by settings chosen without it."""
    folds: tuple[Setting, ...]
    """What each fold's others chose: as unstable as it looks."""


def choose_by_folds(
    measured: Mapping[Setting, Mapping[str, Values]],
    *,
    folds: int = 5,
    repeats: int = 1,
    seed: int = 0,
) -> Chosen[Setting]:
    """The best of `measured`, which has a value by setting, set and query.

    Each set counts the same, however many queries it has, and is cut into folds by itself,
    `repeats` times anew. A tie goes to the setting that stands first. Raises `InputError` where a
    set has fewer queries than folds.
    """
    first = next(iter(measured.values()))
    names = {name: sorted(values) for name, values in first.items()}
    for name, queries in names.items():
        require_queries(name, len(queries), folds)
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
            for name, held in fold.items():
                for query in held:
                    seen[name][query].append(measured[setting][name][query])
    return Chosen(
        setting=_best(measured, names),
        grid={setting: _mean(values, names) for setting, values in measured.items()},
        held_out={
            name: {query: fmean(values) for query, values in queries.items()}
            for name, queries in seen.items()
        },
        folds=tuple(chosen),
    )


def require_queries(name: str, queries: int, folds: int) -> None:
    """Raises `InputError` where a set has fewer queries than folds."""
    if queries < folds:
        raise InputError(f"queries of {name}", f"{queries} are judged, {folds} folds need more")


def over_sets(values: Mapping[str, Values], *, resamples: int = 10_000, seed: int = 0) -> Interval:
    """The mean over sets of their means; its interval draws queries anew within each set."""
    random = np.random.default_rng(seed)
    drawn = []
    for queries in values.values():
        array = np.array([queries[query] for query in sorted(queries)])
        drawn.append(array[random.integers(0, len(array), (resamples, len(array)))].mean(axis=1))
    low, high = np.quantile(np.mean(drawn, axis=0), [(1 - _LEVEL) / 2, (1 + _LEVEL) / 2])
    mean = fmean(fmean(queries.values()) for queries in values.values())
    return Interval(mean, float(low), float(high), _LEVEL)


def tally(names: Sequence[str]) -> dict[str, int]:
    """How often each was chosen, the most frequent first."""
    return dict(Counter(names).most_common())


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
