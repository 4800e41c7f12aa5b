"""Which products of a query's rankings go into the pool."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt


def draw(
    rankings: Mapping[str, Sequence[int]],
    counts: Mapping[str, int],
    texts: Sequence[str],
    random: np.random.Generator,
) -> list[tuple[int, str]]:
    """Products by place with where they come from, no text twice.

    From each ranking as many as `counts` says, ranks drawn log-uniformly: near and far ones take
    part alike. ``random`` in `counts` are strangers. What one ranking lacks, as when it is short
    or its products are taken, stays away.
    """
    taken: dict[str, None] = {}
    chosen: list[tuple[int, str]] = []

    def take(place: int, origin: str) -> bool:
        if texts[place] in taken or not texts[place]:
            return False
        taken[texts[place]] = None
        chosen.append((place, origin))
        return True

    for origin, ranking in rankings.items():
        wanted = counts[origin]
        for rank in _log_uniform_order(len(ranking), random):
            if wanted == 0:
                break
            wanted -= take(int(ranking[rank]), origin)
    strangers, tries = counts.get("random", 0), 0
    while strangers and tries < 50:
        tries += 1
        strangers -= take(int(random.integers(len(texts))), "random")
    return chosen


def _log_uniform_order(count: int, random: np.random.Generator) -> npt.NDArray[np.intp]:
    """All ranks 0..count-1, drawn without replacement, rank r weighing 1 / (r + 1)."""
    # Smallest exponential waiting times first: Efraimidis and Spirakis 2006.
    waits = random.exponential(size=count) * np.arange(1, count + 1)
    return np.argsort(waits, kind="stable")


def generator(seed: int, query: str) -> np.random.Generator:
    """The same draw for a query whatever other queries there are."""
    digest = hashlib.sha256(f"{seed}\0{query}".encode()).digest()
    return np.random.default_rng(int.from_bytes(digest[:8], "big"))
