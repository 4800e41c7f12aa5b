"""How many requests may be under way: found by trying, as TCP does.

Additive increase, multiplicative decrease: Chiu and Jain, Analysis of the Increase and Decrease
Algorithms for Congestion Avoidance in Computer Networks, 1989.
"""

from __future__ import annotations

_START = 2.0
_CUT = 0.5


class Window:
    """Grows by one for each window of answers without trouble, halves on trouble."""

    def __init__(self, most: int) -> None:
        self._most = float(most)
        self._size = min(_START, self._most)
        self._cut_at = 0.0

    @property
    def size(self) -> int:
        """Requests that may be under way, at least one."""
        return int(self._size)

    def grow(self) -> None:
        """An answer came in time."""
        self._size = min(self._most, self._size + 1.0 / self._size)

    def cut(self, sent_at: float, now: float) -> None:
        """An answer says that it is too much.

        One cut answers for all requests that were sent before it: their troubles are the same
        trouble.
        """
        if sent_at >= self._cut_at:
            self._size = max(1.0, self._size * _CUT)
            self._cut_at = now
