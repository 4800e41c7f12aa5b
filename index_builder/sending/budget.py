"""When to ask again, and when to stop asking."""

from __future__ import annotations

import random
from dataclasses import dataclass

_RESERVE = 10_000


@dataclass(frozen=True, slots=True)
class Patience:
    """Exponential backoff with full jitter, and an end to it.

    Full jitter spreads best those who were turned away together: Brooker, Exponential Backoff And
    Jitter, 2015.
    """

    first_s: float
    longest_s: float
    in_all_s: float

    def wait_s(self, tries: int, chance: random.Random) -> float:
        """Before the next try after `tries` that failed, from 1."""
        # The exponent is bound, since 2.0 ** 1100 is no float.
        return chance.uniform(0, min(self.longest_s, self.first_s * 2.0 ** min(tries - 1, 60)))


class RetryBudget:
    """So many retries as there were successes, and a reserve to begin with.

    A cluster that turns away more than it takes is not helped by asking it more often.
    """

    def __init__(self, reserve: int = _RESERVE) -> None:
        self._left = self._most = float(reserve)
        self.spent = 0

    def earn(self, successes: int) -> None:
        """Items were written."""
        self._left = min(self._most, self._left + successes)

    def spend(self, retries: int) -> bool:
        """Takes retries off; False where there are not so many left."""
        self._left -= retries
        self.spent += retries
        return self._left >= 0
