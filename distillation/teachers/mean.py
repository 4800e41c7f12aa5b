"""The mean of several teachers, each on its own scale."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from distillation.ranking import UNREADABLE
from distillation.teachers.contract import Pair, Teacher, TeacherIdentity, TeacherScores
from rerank_core.errors import ConfigError
from rerank_core.hashing import hash_json
from rerank_core.text import ProductTextRecipe


class MeanTeacher:
    """Mean of logits, each member's divided by its spread; NaN where one member has none."""

    def __init__(
        self, members: Sequence[Teacher], spreads: Sequence[float], scale: float = 1.0
    ) -> None:
        """`spreads` are standard deviations within a query; `scale` multiplies the mean."""
        if not members or len(members) != len(spreads):
            raise ConfigError("a mean needs members, and one spread a member")
        if any(member.text != members[0].text for member in members):
            raise ConfigError("members of a mean read the same text: give them one [text]")
        if min(spreads) <= 0:
            raise ConfigError("a member that scores all products of a query alike has no order")
        self._members, self._spreads, self._scale = members, spreads, scale
        parts = [(one.identity.teacher_id, one.identity.revision) for one in members]
        self.identity = TeacherIdentity(
            f"mean of {len(members)}",
            hash_json([parts, list(spreads), scale]),
            hash_json([one.identity.prompt_hash for one in members]),
        )

    @property
    def text(self) -> ProductTextRecipe:
        """What every member reads."""
        return self._members[0].text

    def score(self, pairs: Sequence[Pair]) -> TeacherScores:
        """Each member asked in turn; what one had to stop before, the next is not asked."""
        total = np.zeros(len(pairs), np.float64)
        missed = np.zeros(len(pairs), np.int16)
        tokens, stopped = 0, ""
        for member, spread in zip(self._members, self._spreads, strict=True):
            found = member.score(pairs[: len(total)])
            answered = len(found.logits)
            total = total[:answered] + found.logits / spread
            missed = missed[:answered] + (0 if found.missed is None else found.missed)
            tokens, stopped = tokens + found.tokens, stopped or found.stopped
        logits = (self._scale * total / len(self._members)).astype(np.float32)
        return TeacherScores(logits, missed=missed, tokens=tokens, stopped=stopped)


def spread(run: Mapping[str, Mapping[str, float]]) -> float:
    """Root mean square over queries of the standard deviation of a run's scores.

    Answers that could not be read have no part in it. Raises `ConfigError` where nothing is left,
    and where the products of each query are scored alike.
    """
    read = [[score for score in rows.values() if score != UNREADABLE] for rows in run.values()]
    variances = [np.var(scores) for scores in read if len(scores) > 1]
    if not variances:
        raise ConfigError("has no query with two products that it answers for")
    if not any(variances):
        raise ConfigError("scores all products of a query alike, so it has no order")
    return float(np.sqrt(np.mean(variances)))
