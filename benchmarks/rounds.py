"""Interleaved rounds: every contender once a round, so that all share the machine's moods."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping

Contender = Callable[[int], float]
"""Does its work of a round and gives the milliseconds it took."""

# Thread pools spin for a while after their work; nobody shall be timed beside them.
_PAUSE_S = 0.05
_SEED = 5


def timed(work: Callable[[int], object]) -> Contender:
    """A contender that is timed here; `work` takes the round."""

    def once(number: int) -> float:
        began = time.perf_counter()
        work(number)
        return (time.perf_counter() - began) * 1e3

    return once


def interleaved(
    contenders: Mapping[str, Contender],
    rounds: int,
    *,
    tell: Callable[[int], object] | None = None,
    pause_s: float = _PAUSE_S,
) -> dict[str, list[float]]:
    """Milliseconds of each contender, ``rounds`` of them, after one round that is thrown away.

    Each round is in an order of its own, so that none always follows the same one. `tell` is
    called with the number of rounds done.
    """
    names = list(contenders)
    dice = random.Random(_SEED)  # noqa: S311  the same orders every time
    samples: dict[str, list[float]] = {name: [] for name in names}
    for number in range(-1, rounds):
        for name in dice.sample(names, len(names)):
            time.sleep(pause_s)
            took = contenders[name](max(number, 0))
            if number >= 0:
                samples[name].append(took)
        if tell is not None:
            tell(number + 1)
    return samples
