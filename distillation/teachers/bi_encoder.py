"""Any bi-encoder of sentence-transformers as teacher: a larger one than is served, for instance."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch
from sentence_transformers import SentenceTransformer

from distillation.precision import in_bfloat16
from distillation.teachers.contract import Pair, TeacherIdentity, TeacherScores
from distillation.teachers.cosine import SCALE
from distillation.teachers.decoder import locate
from rerank_core.errors import ArtifactError
from rerank_core.hashing import hash_json
from rerank_core.text import ProductTextRecipe

_TEXTS_A_BATCH = 32
_ENDS = 2
"""Tokens around a text that count towards a model's limit."""
_KEPT_VECTORS = 200_000
"""Of 768 floats, 600 MB; a pool names each product about twice, chunks apart."""


class BiEncoderTeacher:
    """10 x cosine of query and product, by torch; needs no labels."""

    def __init__(self, base: str, text: ProductTextRecipe, revision: str) -> None:
        """`base` is a folder or a name; `revision` the hash of its weights.

        Raises `ArtifactError`.
        """
        try:
            model = SentenceTransformer(str(locate(base)), device="cpu")
        except (OSError, ValueError) as error:
            raise ArtifactError(f"{base}: cannot be loaded: {error}") from error
        own = model.get_max_seq_length()
        wanted = max(text.query_tokens, text.product_tokens) + _ENDS
        model.max_seq_length = min(own, wanted) if own else wanted
        self._model, self.text = model, text
        self._vectors: dict[str, npt.NDArray[np.float32]] = {}
        asked = hash_json(["bi-encoder", text.hash])
        self.identity = TeacherIdentity("bi-encoder", revision, asked)

    def score(self, pairs: Sequence[Pair]) -> TeacherScores:
        """Never NaN."""
        texts = list(dict.fromkeys([one.query for one in pairs] + [one.product for one in pairs]))
        if len(self._vectors) > _KEPT_VECTORS:
            self._vectors.clear()
        self._encode([text for text in texts if text not in self._vectors])
        left = np.stack([self._vectors[one.query] for one in pairs])
        right = np.stack([self._vectors[one.product] for one in pairs])
        return TeacherScores((SCALE * (left * right).sum(1)).astype(np.float32))

    def _encode(self, texts: Sequence[str]) -> None:
        with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16, enabled=in_bfloat16()):
            found = self._model.encode(
                list(texts),
                batch_size=_TEXTS_A_BATCH,
                normalize_embeddings=True,
                convert_to_tensor=True,
                show_progress_bar=False,
            )
        self._vectors.update(zip(texts, found.float().numpy(), strict=True))
