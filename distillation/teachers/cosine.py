"""The bi-encoder's cosine as teacher: no labels needed."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from distillation.pool.neighbours import encode
from distillation.teachers.contract import Pair, TeacherIdentity, TeacherScores
from rerank_core.artifact import open_named
from rerank_core.hashing import hash_json
from rerank_core.text import ProductTextRecipe

SCALE = 10.0
"""Logits a cosine of 1."""


class CosineTeacher:
    """10 x cosine of query and product, by the engine that serves the bi-encoder."""

    def __init__(self, base: str, text: ProductTextRecipe) -> None:
        """`base` is a bi-encoder's folder or name."""
        manifest = open_named(base).manifest
        self._base, self.text = base, text
        self.identity = TeacherIdentity(
            f"cosine of {manifest.name}", manifest.model_hash, hash_json(["cosine", text.hash])
        )

    def score(self, pairs: Sequence[Pair]) -> TeacherScores:
        """Never NaN."""
        texts = list(dict.fromkeys([one.query for one in pairs] + [one.product for one in pairs]))
        place = {text: number for number, text in enumerate(texts)}
        vectors = encode(self._base, texts)
        left = vectors[[place[one.query] for one in pairs]]
        right = vectors[[place[one.product] for one in pairs]]
        return TeacherScores((SCALE * (left * right).sum(1)).astype(np.float32))
