"""Asks a teacher for what the store lacks: priced first, in chunks, under a hard cap."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from rich.console import Console

from distillation.labels.store import LabelStore, label_key, logits
from distillation.progress import counted
from distillation.teachers.contract import Logits, Pair, Teacher, TeacherScores
from rerank_core.errors import ConfigError


@dataclass(frozen=True)
class Price:
    """What a sample foretells."""

    pairs: int
    known: int
    seconds: float
    """For what is not known yet."""
    tokens: int
    """The same, of a server that bills them; 0 of others."""
    tried: int
    """Pairs of the sample; their answers are kept."""


class Labelling:
    """A store, and how many pairs teachers may still be asked for."""

    def __init__(self, store: LabelStore, *, chunk: int, cap: int, show: Console) -> None:
        """`chunk` pairs are asked for and kept at once, `cap` over all calls together."""
        self._store, self._chunk, self._cap, self._show = store, chunk, cap, show
        self.asked = 0

    def missing(self, teacher: Teacher, pairs: Sequence[Pair]) -> list[Pair]:
        """Pairs without an answer, each once, sorted by query so that prefix caches hit."""
        known = self._store.read()
        wanted = {label_key(teacher.identity, pair): pair for pair in pairs}
        left = [pair for key, pair in wanted.items() if key not in known]
        return sorted(left, key=lambda pair: (pair.query, pair.product))

    def require_room(self, teacher: Teacher, pairs: Sequence[Pair]) -> None:
        """Raises `ConfigError` where more would be asked for than the cap leaves."""
        self._require_room(len(self.missing(teacher, pairs)))

    def price(self, teacher: Teacher, pairs: Sequence[Pair], *, sample: int) -> Price:
        """Labels `sample` pairs, drawn by chance and no more than the cap leaves.

        Tells what the rest takes.
        """
        left = self.missing(teacher, pairs)
        count = min(sample, len(left), self._cap - self.asked)
        # The first ones by query would be those of a few queries, and their lengths.
        places = np.random.default_rng(0).permutation(len(left))[:count]
        drawn = [left[place] for place in sorted(places)]
        started = time.monotonic()
        tokens = sum(self._ask(teacher, part).tokens for part in self._chunks(drawn))
        share = (len(left) - count) / max(count, 1)
        unique = len({label_key(teacher.identity, pair) for pair in pairs})
        return Price(
            pairs=unique,
            known=unique - len(left),
            seconds=(time.monotonic() - started) * share,
            tokens=round(tokens * share),
            tried=count,
        )

    def label(self, teacher: Teacher, pairs: Sequence[Pair], what: str = "labels") -> int:
        """Fills the store, chunk by chunk; returns how many answers were asked for.

        Raises `ConfigError` before anything is asked where that is more than the cap leaves, and
        `ScoringError` where the teacher fails; what it answered before is kept.
        """
        left = self.missing(teacher, pairs)
        self._require_room(len(left))
        with counted(self._show, what, len(left)) as more:
            for part in self._chunks(left):
                self._ask(teacher, part)
                more(len(part))
        return len(left)

    def answers(self, teacher: Teacher, pairs: Sequence[Pair]) -> Logits:
        """Of each pair, NaN where it could not be read; raises as `label`."""
        self.label(teacher, pairs)
        return self.known(teacher, pairs)

    def known(self, teacher: Teacher, pairs: Sequence[Pair]) -> Logits:
        """The same without asking: NaN where there is none, too."""
        return logits(self._store.read(), teacher.identity, pairs)

    def missed(self, teacher: Teacher) -> int:
        """How many grades a server did not tell, of all its answers."""
        return self._store.missed(teacher.identity)

    def _require_room(self, more: int) -> None:
        if self.asked + more > self._cap:
            before = f" after {self.asked:,}" if self.asked else ""
            raise ConfigError(
                f"{more:,} pairs to label{before}, the cap is {self._cap:,}; raise labels.cap"
            )

    def _ask(self, teacher: Teacher, part: Sequence[Pair]) -> TeacherScores:
        self.asked += len(part)
        scores = teacher.score(part)
        self._store.append(teacher.identity, part[: len(scores.logits)], scores)
        return scores.whole()

    def _chunks(self, pairs: Sequence[Pair]) -> Iterator[Sequence[Pair]]:
        for start in range(0, len(pairs), self._chunk):
            yield pairs[start : start + self._chunk]
