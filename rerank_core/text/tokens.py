"""Token rows laid end to end, with no padding."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np
import numpy.typing as npt

Ids = npt.NDArray[np.int32]
"""Vocabulary ids, shape ``(tokens,)``."""


@dataclass(frozen=True, slots=True, eq=False)
class PackedTokens:
    """Rows of tokens, packed: row `i` is ``ids[offsets[i]:offsets[i + 1]]``."""

    ids: npt.NDArray[np.int32]
    """Vocabulary ids, shape ``(tokens,)``."""
    type_ids: npt.NDArray[np.int32]
    """0 in the first segment, 1 in the second, shape ``(tokens,)``."""
    offsets: npt.NDArray[np.int64]
    """Where rows begin and the last one ends, shape ``(rows + 1,)``."""

    def __len__(self) -> int:
        """How many rows."""
        return len(self.offsets) - 1

    @property
    def lengths(self) -> npt.NDArray[np.int64]:
        """Tokens a row, shape ``(rows,)``."""
        return np.diff(self.offsets)

    def rows(self, indices: npt.NDArray[np.intp]) -> PackedTokens:
        """The named rows, in the given order, packed anew."""
        lengths = self.lengths[indices]
        offsets = np.concatenate(([0], np.cumsum(lengths)))
        # Token k of row r stands at offsets[r] + k: repeat each row's shift over its tokens.
        shifts = np.repeat(self.offsets[indices] - offsets[:-1], lengths)
        source = np.arange(offsets[-1]) + shifts
        return PackedTokens(self.ids[source], self.type_ids[source], offsets)

    @classmethod
    def pack(cls, rows: Sequence[Sequence[int]], first_segment: int | None = None) -> PackedTokens:
        """Packs rows of ids.

        The first `first_segment` tokens of every row are of the first segment, the rest of the
        second; None: there is no second.
        """
        lengths = np.array([len(row) for row in rows], np.int64)
        ids = np.fromiter(chain.from_iterable(rows), np.int32, lengths.sum())
        return cls._laid(ids, lengths, first_segment)

    @classmethod
    def framed(
        cls, begin: Ids, rows: Sequence[Ids], end: Ids, first_segment: int | None = None
    ) -> PackedTokens:
        """`pack` of ``begin, row, end`` for each row."""
        lengths = np.array([len(row) for row in rows], np.int64) + (len(begin) + len(end))
        parts = [part for row in rows for part in (begin, row, end)]
        ids = np.concatenate(parts) if parts else np.zeros(0, np.int32)
        return cls._laid(ids, lengths, first_segment)

    @classmethod
    def _laid(
        cls, ids: Ids, lengths: npt.NDArray[np.int64], first_segment: int | None
    ) -> PackedTokens:
        offsets = np.zeros(len(lengths) + 1, np.int64)
        np.cumsum(lengths, out=offsets[1:])
        type_ids = np.zeros(len(ids), np.int32)
        if first_segment is not None:
            places = np.arange(len(ids)) - np.repeat(offsets[:-1], lengths)
            type_ids[places >= first_segment] = 1
        return cls(ids, type_ids, offsets)
