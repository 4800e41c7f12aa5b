"""The contract that every teacher keeps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from rerank_core.errors import InputError, ScoringError
from rerank_core.text import ProductTextRecipe

Logits = npt.NDArray[np.float32]


@dataclass(frozen=True)
class TeacherIdentity:
    """Labels of equal identities may be mixed, others never.

    Revision and prompt hash are the key of a label: what tells a teacher from others is in them.
    """

    teacher_id: str
    """For people to read."""
    revision: str
    """Hash of the weights in use, or a server's model and what its owner says of its weights."""
    prompt_hash: str
    """Of prompt, text recipe and grades: what is asked."""


@dataclass(frozen=True)
class Pair:
    """A query and a product's text as the teacher reads it."""

    query: str
    product: str


@dataclass(frozen=True)
class TeacherScores:
    """Answers in the order of the pairs, to the first of them alone where it was `stopped`."""

    logits: Logits
    """Shape ``(pairs,)``; NaN where the answer could not be read."""
    probabilities: npt.NDArray[np.float32] | None = None
    """Shape ``(pairs, classes)``, worst grade first, where the teacher has grades."""
    missed: npt.NDArray[np.int16] | None = None
    """Shape ``(pairs,)``: how many grades a server did not tell."""
    tokens: int = 0
    """Read and written, as a server bills them."""
    stopped: str = ""
    """Why no more answers could be had; empty where there is one to each pair."""

    def __post_init__(self) -> None:
        if self.probabilities is not None and len(self.probabilities) != len(self.logits):
            raise InputError("probabilities", "one row a pair")

    def whole(self) -> TeacherScores:
        """These, where there is an answer to each pair. Raises `ScoringError` otherwise."""
        if self.stopped:
            raise ScoringError(self.stopped)
        return self


class Teacher(Protocol):
    """Labels batches of pairs; rows of one query stand together, so that prefixes are shared."""

    @property
    def identity(self) -> TeacherIdentity:
        """Whose labels these are."""
        ...

    @property
    def text(self) -> ProductTextRecipe:
        """What it reads of a product."""
        ...

    def score(self, pairs: Sequence[Pair]) -> TeacherScores:
        """Raises `ScoringError` where no answer can be had at all."""
        ...


def by_query(pairs: Sequence[Pair]) -> list[tuple[str, list[int]]]:
    """Neighbouring pairs of one query as its text and their places."""
    groups: list[tuple[str, list[int]]] = []
    for place, pair in enumerate(pairs):
        if not groups or groups[-1][0] != pair.query:
            groups.append((pair.query, []))
        groups[-1][1].append(place)
    return groups
