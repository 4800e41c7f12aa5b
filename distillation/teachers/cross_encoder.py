"""A BERT cross-encoder as teacher."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from distillation.lists import TokenList
from distillation.precision import Precision, in_bfloat16
from distillation.student import score
from distillation.teachers.contract import Pair, TeacherIdentity, TeacherScores, by_query
from rerank_core.hashing import hash_json
from rerank_core.text import ProductTextRecipe, TextEncoder


class CrossEncoderTeacher:
    """Scores with a network in torch; the head is float32."""

    def __init__(
        self,
        network: Any,
        encoder: TextEncoder,
        name: str,
        revision: str,
        *,
        precision: Precision = "auto",
    ) -> None:
        """`revision` is the hash of the weights in `network`."""
        self._network, self._encoder, self._bfloat16 = network, encoder, in_bfloat16(precision)
        self.identity = TeacherIdentity(name, revision, hash_json(["pair", encoder.recipe.hash]))

    @property
    def text(self) -> ProductTextRecipe:
        """What it reads of a product."""
        return self._encoder.recipe

    def score(self, pairs: Sequence[Pair]) -> TeacherScores:
        """Never NaN."""
        groups = by_query(pairs)
        lists = []
        for query, places in groups:
            tokens = self._encoder.pairs(query, [pairs[place].product for place in places])
            lists.append(TokenList(tokens, np.zeros(len(places), np.float32)))
        logits = np.empty(len(pairs), np.float32)
        scores = score(self._network, lists, bfloat16=self._bfloat16)
        for (_, places), values in zip(groups, scores, strict=True):
            logits[places] = values
        return TeacherScores(logits)
