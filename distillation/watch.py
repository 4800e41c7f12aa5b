"""Watches a run: progress, evaluations, checkpoints."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType

import numpy as np
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from distillation import training
from distillation.lists import TokenList
from distillation.recipe import TrainingRecipe
from distillation.student import score
from rerank_core.measures import Judgments, ndcg, pairwise_accuracy, spearman

CHECKPOINT = "checkpoint.pt"
BEST = "best.pt"

_FORGET = 0.98
"""The loss that is shown is a moving average; one step has a few lists and jumps about."""


class Watch:
    """Shows a progress bar and, every so often, evaluates and keeps a checkpoint.

    The last checkpoint is `checkpoint.pt`, the best one `best.pt`: the highest pairwise accuracy
    on `select`, the first of equals.
    """

    def __init__(
        self,
        recipe: TrainingRecipe,
        out: Path,
        identity: str,
        select: tuple[Judgments, Sequence[TokenList]],
        console: Console,
    ) -> None:
        """`identity` goes into checkpoints; `select` is what they are compared on."""
        self._recipe, self._out, self._identity = recipe, out, identity
        self._select, self._lists = select
        self._console = console
        self._progress = Progress(
            TextColumn("training"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[loss]}"),
            console=console,
        )

    def begin(self, state: training.State, steps: int) -> None:
        """Takes up the run where `state` stands; `steps` is its whole length."""
        last = state.curve[-1] if state.curve else {"loss": math.nan, "seconds": 0.0}
        self._loss, self._seconds_before = last["loss"], last["seconds"]
        self._started, self._first, self._steps = time.monotonic(), state.step, steps
        self._task = self._progress.add_task("", total=steps, completed=state.step, loss="")

    def after_step(self, state: training.State, loss: float) -> None:
        """Hears of each step; evaluates where one is due."""
        young = math.isnan(self._loss)
        self._loss = loss if young else _FORGET * self._loss + (1 - _FORGET) * loss
        self._progress.update(self._task, completed=state.step, loss=f"loss {self._loss:.3f}")
        if state.step % self._recipe.evaluate_every and state.step != self._steps:
            return
        best = max((point["pairwise_accuracy"] for point in state.curve), default=-math.inf)
        point = {"step": float(state.step), "loss": self._loss} | self._evaluate(state)
        seconds = time.monotonic() - self._started
        point["seconds"] = round(self._seconds_before + seconds, 1)
        state.curve.append(point)
        if point["pairwise_accuracy"] > best:
            training.save_checkpoint(state, self._out / BEST, self._identity)
        training.save_checkpoint(state, self._out / CHECKPOINT, self._identity)
        left_minutes = seconds / (state.step - self._first) * (self._steps - state.step) / 60
        line = "  ".join(f"{name} {value:.4g}" for name, value in point.items())
        self._console.print(f"{line}  {left_minutes:.0f} min left")

    def _evaluate(self, state: training.State) -> dict[str, float]:
        with training.published_weights(state):
            scores = score(state.student, self._lists)
        run = {
            query: dict(zip(rows, map(float, one), strict=True))
            for (query, rows), one in zip(self._select.items(), scores, strict=True)
        }
        values = {
            "ndcg_at_10": ndcg(self._select, run, self._recipe.labels.scale),
            "pairwise_accuracy": pairwise_accuracy(self._select, run),
            "spearman": spearman(self._select, run),
        }
        return {name: float(np.mean(list(one.values()))) for name, one in values.items()}

    def __enter__(self) -> Watch:
        self._progress.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._progress.stop()


def best_point(curve: Sequence[Mapping[str, float]]) -> Mapping[str, float]:
    """The evaluation whose weights are kept."""
    return max(curve, key=lambda point: point["pairwise_accuracy"])
