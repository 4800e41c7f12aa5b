"""What every way of computing a forward pass offers the engine."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
import numpy.typing as npt

from rerank_core.text import PackedTokens

Rows = npt.NDArray[np.intp]
"""Indices of rows, shape ``(rows,)``."""


class NumericPath(Protocol):
    """One loaded encoder on one kind of arithmetic. Safe to call from several threads."""

    @property
    def name(self) -> str:
        """Such as ``onnxruntime-fp32``; numbers are comparable between equal names only."""

    @property
    def columns(self) -> int:
        """Outputs a row: labels of a classifier, dimensions of a vector."""

    @property
    def deterministic(self) -> bool:
        """True where a row's output is bit-equal whatever it is computed with."""

    @property
    def first_rows(self) -> int:
        """How many texts are tokenised in the first turn, as few as make a unit.

        So every worker soon has a unit near the top; each next turn reads twice as many.
        """

    @property
    def part_rows(self) -> int:
        """How many texts are tokenised in one turn at most.

        Few, so that all workers tokenise at once and the first scores come soon; as many as
        `plan` needs to make good units of.
        """

    def plan(self, tokens: PackedTokens) -> Sequence[Rows]:
        """Splits rows into units of work, each row in one unit, the first rows first."""

    def forward(self, tokens: PackedTokens) -> npt.NDArray[np.float32]:
        """Outputs of one unit's rows, shape ``(rows, columns)``."""


def parts(path: NumericPath, texts: int) -> list[slice]:
    """What is tokenised turn by turn: a small part first, each next one twice as large."""
    found = []
    begin, size = 0, min(path.first_rows, path.part_rows)
    while begin < texts:
        found.append(slice(begin, min(begin + size, texts)))
        begin, size = begin + size, min(2 * size, path.part_rows)
    return found
