"""What waits to be sent: fresh items in their order, and those to be asked for again when due."""

from __future__ import annotations

import heapq
import math
from collections import deque
from collections.abc import Iterable, Sequence

from index_builder.sending.items import Item

# Items put off are due on a grid of this: those of about one time share a request again.
_GRID_S = 0.2


class SendQueue:
    """Cuts requests within their bounds. For one thread."""

    def __init__(self, most_items: int, most_bytes: int) -> None:
        self.most_items = most_items
        self.most_bytes = most_bytes
        self._fresh: deque[Item] = deque()
        self._later: list[tuple[float, int, Item]] = []
        self._count = 0

    def __len__(self) -> int:
        return len(self._fresh) + len(self._later)

    def put(self, items: Iterable[Item]) -> None:
        """Behind those that wait already."""
        self._fresh.extend(items)

    def put_back(self, items: Sequence[Item]) -> None:
        """Before all others."""
        self._fresh.extendleft(reversed(items))

    def put_off(self, item: Item, due_s: float) -> None:
        """Not before `due_s`."""
        self._count += 1  # items do not compare
        heapq.heappush(self._later, (math.ceil(due_s / _GRID_S) * _GRID_S, self._count, item))

    def next_due_s(self) -> float | None:
        """When the first of those put off is due; None where there is none."""
        return self._later[0][0] if self._later else None

    def halve(self, items: Sequence[Item]) -> None:
        """A request of these items was too large: further ones are half of it at most."""
        self.most_items = max(1, min(self.most_items, len(items) // 2))
        size_bytes = sum(len(item.payload) for item in items)
        self.most_bytes = max(1, min(self.most_bytes, size_bytes // 2))

    def take(self, now_s: float) -> list[Item]:
        """The next request's items, those that are due first; empty where nothing is to be sent.

        Within both bounds, or a single item that is over the bound of bytes.
        """
        taken: list[Item] = []
        size_bytes = 0
        while len(taken) < self.most_items:
            due = bool(self._later) and self._later[0][0] <= now_s
            if not due and not self._fresh:
                break
            item = self._later[0][2] if due else self._fresh[0]
            size_bytes += len(item.payload)
            if taken and size_bytes > self.most_bytes:
                break
            if due:
                heapq.heappop(self._later)
            else:
                self._fresh.popleft()
            taken.append(item)
        return taken
