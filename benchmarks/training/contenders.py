"""The two loops, from the same weights, over the same lists, with the same rates and loss."""

from __future__ import annotations

import gc
import shutil
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import datasets
import torch
from rich.console import Console
from sentence_transformers.cross_encoder import (
    CrossEncoder,
    CrossEncoderTrainer,
    CrossEncoderTrainingArguments,
)
from torch import Tensor, nn

from benchmarks.training.task import LIST_PRODUCTS, LISTS_A_STEP, TEXT
from distillation.fitting import fit, load_best
from distillation.lists import TargetList, tokenize
from distillation.losses import margin_mse
from distillation.pipeline.fit import Fit
from distillation.precision import in_bfloat16
from distillation.student import Student, text_encoder
from rerank_core.artifact import named_folder

_RATE = 2e-4
_TOKENIZER_FILES = ("tokenizer.json", "tokenizer_config.json", "vocab.txt")


@dataclass(frozen=True)
class Trained:
    """A network and what its training took."""

    network: Student
    seconds: float
    """From texts to the last step: tokenising is in, loading and judging are not."""


@contextmanager
def fresh_student(layers: int, seed: int) -> Iterator[Path]:
    """A folder of all-MiniLM-L6-v2's first layers with a new head: where both sides start."""
    torch.manual_seed(seed)
    base = named_folder("minilm")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        Student(base, layers=layers).network.save_pretrained(folder)
        for file in _TOKENIZER_FILES:
            if (base / file).is_file():
                shutil.copy(base / file, folder / file)
        yield folder


def ours(start: Path, lists: Sequence[TargetList], steps: int, seed: int) -> Trained:
    """`distillation.fitting.fit`: tokens made once, rows of like length together, no padding."""
    network = Student(start)
    settings = Fit(
        steps=steps,
        loss="margin-mse",
        learning_rate=_RATE,
        head_learning_rate=_RATE,
        pairs_a_step=LISTS_A_STEP * LIST_PRODUCTS,
        list_products=LIST_PRODUCTS,
        evaluations=1,
    )
    with tempfile.TemporaryDirectory() as folder:
        started = time.perf_counter()
        tokens = tokenize(lists, text_encoder(start, TEXT))
        fit(
            network, settings, tokens, Path(folder),
            seed=seed, identity="", measure=lambda _network: {"nDCG@10": 0.0},
            show=Console(quiet=True),
        )  # fmt: skip
        seconds = time.perf_counter() - started
        load_best(network, Path(folder))
    return Trained(network, seconds)


def trainer(start: Path, lists: Sequence[TargetList], steps: int, seed: int) -> Trained:
    """sentence-transformers' `CrossEncoderTrainer` with the same loss over whole steps."""
    limit = 3 + TEXT.query_tokens + TEXT.product_tokens
    model = CrossEncoder(str(start), num_labels=1, max_length=limit, device="cpu")
    columns = {
        "query": [one.query for one in lists],
        "docs": [list(one.texts) for one in lists],
        "labels": [one.targets.tolist() for one in lists],
    }
    with tempfile.TemporaryDirectory() as folder:
        arguments = CrossEncoderTrainingArguments(
            output_dir=folder,
            max_steps=steps,
            per_device_train_batch_size=LISTS_A_STEP,
            learning_rate=_RATE,
            warmup_steps=round(0.1 * steps),
            weight_decay=0.01,
            max_grad_norm=1.0,
            bf16=in_bfloat16(),
            seed=seed,
            use_cpu=True,
            save_strategy="no",
            logging_strategy="no",
            report_to="none",
            disable_tqdm=True,
        )
        started = time.perf_counter()
        data = datasets.Dataset.from_dict(columns)
        CrossEncoderTrainer(
            model=model, args=arguments, train_dataset=data, loss=AllPairsMarginMSELoss(model)
        ).train()
        seconds = time.perf_counter() - started
        model.save_pretrained(folder)
        network = Student(Path(folder))
    del model
    gc.collect()
    return Trained(network, seconds)


class AllPairsMarginMSELoss(nn.Module):
    """Our loss as the trainer wants one, after the model of its own list losses.

    Their default of as many pairs at once as a step has lists is slower: a step goes as a whole.
    """

    def __init__(self, model: CrossEncoder) -> None:
        super().__init__()
        self.model = model

    def forward(self, inputs: list[Any], labels: list[Tensor]) -> Tensor:
        """The loss of a step of (queries, lists of texts) and their logits."""
        queries, texts = inputs
        pairs = [(q, text) for q, found in zip(queries, texts, strict=True) for text in found]
        tokens = self.model.preprocess(pairs)
        logits = self.model(tokens)["scores"].view(-1).float()
        counts = torch.tensor([len(found) for found in texts])
        numbers = torch.repeat_interleave(torch.arange(len(counts)), counts)
        return margin_mse(logits, torch.cat([*labels]).float(), numbers)
