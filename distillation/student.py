"""The student: a BERT cross-encoder with one output, and its scores."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from transformers import AutoModelForSequenceClassification
from transformers.utils import logging as notes

from distillation.batches import Batch, Pick, assemble, even
from distillation.first_token import first_token_states
from distillation.lists import TokenList
from distillation.losses import relevance
from rerank_core.errors import ArtifactError
from rerank_core.text import ProductTextRecipe, TextEncoder

_DROPOUTS = ("hidden_dropout_prob", "attention_probs_dropout_prob", "classifier_dropout")


class Student(nn.Module):
    """A Hugging Face BERT with a classifier of one output: token rows in, logits out."""

    def __init__(
        self, folder: Path, *, layers: int | None = None, dropout: float | None = None
    ) -> None:
        """Loads a folder; a bi-encoder's gets a new, random head from torch's generator.

        `dropout` replaces the folder's own. Weights are float32, whatever they are stored as.
        """
        super().__init__()
        if not (folder / "config.json").is_file():
            raise ArtifactError(f"{folder}: no config.json; give the folder of a model")
        rates = {} if dropout is None else dict.fromkeys(_DROPOUTS, dropout)
        with _without_notes():  # of a head that is new, which is meant
            self.network: Any = AutoModelForSequenceClassification.from_pretrained(
                folder, num_labels=1, local_files_only=True, dtype=torch.float32, **rates
            )
        if self.network.config.model_type != "bert":
            raise ArtifactError(
                f"{folder}: of type {self.network.config.model_type}; the student must be a bert"
            )
        if layers is not None:
            there = len(self.network.bert.encoder.layer)
            if layers > there:
                raise ArtifactError(f"{folder}: has {there} layers, {layers} were asked for")
            self.network.bert.encoder.layer = self.network.bert.encoder.layer[:layers]
            self.network.config.num_hidden_layers = layers

    def forward(self, batch: Batch) -> Tensor:
        """Logits, float32, shape ``(pairs,)``."""
        bert = self.network.bert
        states = first_token_states(bert, batch)
        # The head in float32: bfloat16 has 8 bits, and logits rounded to those would tie.
        with torch.autocast("cpu", enabled=False):
            pooled = self.network.dropout(bert.pooler(states.float()[:, None]))
            logits: Tensor = self.network.classifier(pooled)
        return logits.squeeze(-1)

    @property
    def depth(self) -> int:
        """How many layers."""
        return int(self.network.config.num_hidden_layers)

    def layer_of(self, name: str) -> int:
        """The layer of a parameter, `depth` for pooler and classifier, -1 for the embeddings."""
        if "pooler" in name or "classifier" in name:
            return self.depth
        marker = "encoder.layer."
        return int(name.partition(marker)[2].partition(".")[0]) if marker in name else -1


@contextmanager
def _without_notes() -> Iterator[None]:
    """Loads without a report of the keys and without a progress bar of a second."""
    before, bar = notes.get_verbosity(), notes.is_progress_bar_enabled()
    notes.set_verbosity(logging.ERROR)
    notes.disable_progress_bar()  # type: ignore[no-untyped-call]
    try:
        yield
    finally:
        notes.set_verbosity(before)
        if bar:
            notes.enable_progress_bar()  # type: ignore[no-untyped-call]


def text_encoder(folder: Path, recipe: ProductTextRecipe) -> TextEncoder:
    """The tokens that serving will use for the folder and recipe. Raises `ArtifactError`."""
    try:
        content = (folder / "tokenizer.json").read_text(encoding="utf-8")
    except OSError as error:
        raise ArtifactError(f"{folder / 'tokenizer.json'}: {error.strerror or error}") from error
    return TextEncoder(content, recipe)


def score(
    student: Any,
    lists: Sequence[TokenList],
    *,
    pairs_a_batch: int = 64,
    bfloat16: bool = False,
    done: Callable[[int], None] = lambda _pairs: None,
) -> list[npt.NDArray[np.float32]]:
    """Logits of every list, in order, without dropout; matrix products in float32 or bfloat16.

    `done` hears how many more pairs are scored.
    """
    picks = [
        Pick(number, np.array([row], np.intp))
        for number, one in enumerate(lists)
        for row in range(len(one.tokens))
    ]
    picks.sort(key=lambda pick: int(lists[pick.number].tokens.lengths[pick.rows[0]]))
    scores = [np.empty(len(one.tokens), np.float32) for one in lists]
    was_training = student.training
    student.eval()
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16, enabled=bfloat16):
        for start in range(0, len(picks), pairs_a_batch):
            part = picks[start : start + pairs_a_batch]
            batch = assemble(lists, part)
            logits = relevance(student(even(batch) if bfloat16 else batch)).numpy()[: len(part)]
            for pick, logit in zip(part, logits, strict=True):
                scores[pick.number][pick.rows[0]] = logit
            done(len(part))
    student.train(was_training)
    return scores
