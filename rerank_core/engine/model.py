"""Loaded models: text in, tokens, forward pass."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from rerank_core.artifact import Artifact
from rerank_core.engine.cost import CostModel
from rerank_core.engine.path import NumericPath
from rerank_core.engine.selection import PathChoice, chosen_path, load_path
from rerank_core.engine.shape import BertShape, check_output, read_pooling, read_shape
from rerank_core.errors import ArtifactError
from rerank_core.text import PackedTokens, TextEncoder

_log = logging.getLogger(__name__)

# Tables of embeddings are made longer than their vocabulary, to a multiple of 8, 64 or 128.
_VOCABULARY_PADDING = 128

Product: TypeAlias = str | Mapping[str, object]
"""Its text, or the fields that the model's recipe makes text of."""


@dataclass(frozen=True, eq=False)
class Model:
    """An artifact, ready to compute. Equal to itself alone."""

    artifact: Artifact
    text: TextEncoder
    path: NumericPath
    path_reason: str
    """Why it computes on this path."""
    path_fallback: bool
    """Another path was wanted than what runs: worth a warning."""
    cost: CostModel = field(default_factory=CostModel)
    """Of the path's units; it learns while they are computed."""

    @property
    def name(self) -> str:
        """As the manifest names it."""
        return self.artifact.manifest.name

    @property
    def hash(self) -> str:
        """The manifest's model hash, 64 hex digits."""
        return self.artifact.manifest.model_hash

    @property
    def numeric_path(self) -> str:
        """How it computes."""
        return self.path.name

    @property
    def deterministic(self) -> bool:
        """True where an output is bit-equal whatever it is computed with."""
        return self.path.deterministic


@dataclass(frozen=True, eq=False)
class CrossEncoder(Model):
    """Scores (query, product) pairs."""

    def composer(self, query: str) -> Callable[[Sequence[Product]], PackedTokens]:
        """What makes a part of the products rows, one a pair with the query."""
        pair, recipe = self.text.pairing(query), self.artifact.manifest.recipe

        def compose(products: Sequence[Product]) -> PackedTokens:
            return pair(
                [item if isinstance(item, str) else recipe.compose(item) for item in products]
            )

        return compose

    def logits(self, outputs: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """The relevance logit out of a forward pass's columns, shape ``(rows,)``."""
        output = self.artifact.manifest.output
        if output.activation == "softmax":
            return log_odds(outputs, output.index)
        return outputs[:, output.index]


@dataclass(frozen=True, eq=False)
class BiEncoder(Model):
    """Turns texts into vectors of unit length."""

    @property
    def dimensions(self) -> int:
        """Columns of a vector."""
        return self.path.columns

    def compose(self, texts: Sequence[str]) -> PackedTokens:
        """One row a text."""
        return self.text.texts(texts)


def tell(model: Model) -> None:
    """Logs how a model computes: a warning, which goes to stderr, where that was not wanted.

    For programs without a log of their own; the sidecar writes the same into its own.
    """
    level = logging.WARNING if model.path_fallback else logging.INFO
    _log.log(
        level, "model %s computes on %s: %s", model.name, model.numeric_path, model.path_reason
    )


def log_odds(outputs: npt.NDArray[np.float32], index: int) -> npt.NDArray[np.float32]:
    """Of one output against all others under softmax, log p / (1 - p), shape ``(rows,)``.

    Of two outputs it is their difference. A row's is the same in any company: nothing is summed
    but column by column.
    """
    others = np.delete(outputs.astype(np.float64), index, axis=1)
    most = others.max(axis=1)
    total = np.zeros(len(others))
    for column in others.T:
        total += np.exp(column - most)
    odds: npt.NDArray[np.float32] = (outputs[:, index] - (most + np.log(total))).astype(np.float32)
    return odds


def load_cross_encoder(artifact: Artifact, choice: PathChoice | None = None) -> CrossEncoder:
    """A cross-encoder, computed from the folder's weights on the path that `choice` gives.

    None is the environment's choice. Raises `ArtifactError`, and `SetupError` for a choice that
    cannot be met.
    """
    artifact.check_kind("cross-encoder")
    shape = read_shape(artifact)
    loaded = load_path(artifact, shape, None, choice or chosen_path())
    check_output(artifact, loaded.path.columns)
    text = _text_encoder(artifact, shape)
    cost = CostModel.measured(loaded.path, shape.positions)
    return CrossEncoder(artifact, text, loaded.path, loaded.reason, loaded.fallback, cost)


def load_bi_encoder(artifact: Artifact, choice: PathChoice | None = None) -> BiEncoder:
    """A bi-encoder; as `load_cross_encoder`."""
    artifact.check_kind("bi-encoder")
    shape = read_shape(artifact)
    loaded = load_path(artifact, shape, read_pooling(artifact), choice or chosen_path())
    text = _text_encoder(artifact, shape)
    return BiEncoder(artifact, text, loaded.path, loaded.reason, loaded.fallback)


def _text_encoder(artifact: Artifact, shape: BertShape) -> TextEncoder:
    try:
        tokenizer_json = (artifact.folder / "tokenizer.json").read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ArtifactError(
            f"{artifact.folder / 'tokenizer.json'}: cannot be read: {error}; copy the file anew"
        ) from error
    try:
        encoder = TextEncoder(tokenizer_json, artifact.manifest.recipe)
    except ArtifactError as error:
        raise ArtifactError(
            f"{artifact.folder}: {error}; take tokenizer and weights from one model"
        ) from error
    if encoder.vocabulary_size > shape.vocabulary:
        raise ArtifactError(
            f"{artifact.folder}: tokenizer.json has ids up to {encoder.vocabulary_size - 1}, the "
            f"model reads {shape.vocabulary}; take tokenizer and weights from one model"
        )
    if encoder.vocabulary_size <= shape.vocabulary - _VOCABULARY_PADDING:
        raise ArtifactError(
            f"{artifact.folder}: tokenizer.json has {encoder.vocabulary_size} ids, the model reads "
            f"{shape.vocabulary}; take tokenizer and weights from one model"
        )
    return encoder
