"""The student: a BERT cross-encoder with one output, and its scores."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from transformers import AutoModelForSequenceClassification

from distillation.batches import Batch, Pick, assemble
from distillation.lists import TokenList
from rerank_core.errors import ArtifactError
from rerank_core.text import ProductTextRecipe, TextEncoder


class Student(nn.Module):
    """A Hugging Face BERT with a classifier of one output: token rows in, logits out."""

    def __init__(self, folder: Path, *, layers: int | None = None) -> None:
        """Loads a folder; a bi-encoder's gets a new, random head from torch's generator."""
        super().__init__()
        if not (folder / "config.json").is_file():
            raise ArtifactError(f"{folder}: no config.json; give the folder of a model")
        self.network: Any = AutoModelForSequenceClassification.from_pretrained(
            folder, num_labels=1, local_files_only=True
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
        output = self.network(
            input_ids=batch.ids, attention_mask=batch.mask, token_type_ids=batch.type_ids
        )
        logits: Tensor = output.logits
        return logits.float().squeeze(-1)

    @property
    def depth(self) -> int:
        """How many layers."""
        return int(self.network.config.num_hidden_layers)


def text_encoder(folder: Path, recipe: ProductTextRecipe) -> TextEncoder:
    """The tokens that serving will use for the folder and recipe. Raises `ArtifactError`."""
    try:
        content = (folder / "tokenizer.json").read_text(encoding="utf-8")
    except OSError as error:
        raise ArtifactError(f"{folder / 'tokenizer.json'}: {error.strerror or error}") from error
    return TextEncoder(content, recipe)


def score(
    student: Student,
    lists: Sequence[TokenList],
    *,
    pairs_a_batch: int = 64,
    done: Callable[[int], None] = lambda _pairs: None,
) -> list[npt.NDArray[np.float32]]:
    """Logits of every list, in order, float32 arithmetic, without dropout.

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
    with torch.inference_mode():
        for start in range(0, len(picks), pairs_a_batch):
            part = picks[start : start + pairs_a_batch]
            logits = student(assemble(lists, part)).numpy()
            for pick, logit in zip(part, logits, strict=True):
                scores[pick.number][pick.rows[0]] = logit
            done(len(part))
    student.train(was_training)
    return scores
