"""The training loop: plain, seeded, resumable."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from distillation import losses
from distillation.batches import Pick, assemble, plan_epoch
from distillation.lists import TokenList
from distillation.precision import in_bfloat16
from distillation.recipe import TrainingRecipe
from distillation.student import Student
from rerank_core.errors import ConfigError


@dataclass(frozen=True)
class Step:
    """One optimiser step: which lists, whether they are anchor lists, and how much they count."""

    picks: list[Pick]
    anchored: bool = False
    weight: float = 1.0


@dataclass
class State:
    """All that a run carries from step to step."""

    student: Student
    optimiser: torch.optim.AdamW
    average: dict[str, Tensor]
    """The moving average of the weights; empty where the recipe has none."""
    step: int = 0
    curve: list[dict[str, float]] = field(default_factory=list)


def plan_run(
    recipe: TrainingRecipe, graded: Sequence[TokenList], anchored: Sequence[TokenList]
) -> list[Step]:
    """Every step of a run, from the seed alone, so that a resumed run goes the same way."""
    random = np.random.default_rng(recipe.seed)
    optimiser = recipe.optimiser
    labelled: list[list[Pick]] = []
    for _ in range(math.ceil(optimiser.epochs)):
        labelled += plan_epoch(
            graded,
            pairs_a_step=optimiser.pairs_a_step,
            list_products=recipe.labels.list_products,
            random=random,
        )
    labelled = labelled[
        : max(1, round(len(labelled) * optimiser.epochs / math.ceil(optimiser.epochs)))
    ]
    anchor = recipe.anchor
    if anchor is None:
        return [Step(picks) for picks in labelled]

    def endless() -> Iterator[list[Pick]]:
        while True:
            yield from plan_epoch(
                anchored,
                pairs_a_step=optimiser.pairs_a_step,
                list_products=anchor.list_products,
                random=random,
            )

    stream = endless()
    steps = [Step(next(stream), anchored=True) for _ in range(anchor.warmup_steps)]
    for number, picks in enumerate(labelled, start=1):
        steps.append(Step(picks))
        if anchor.every and number % anchor.every == 0:
            steps.append(Step(next(stream), anchored=True, weight=anchor.weight))
    return steps


def begin(recipe: TrainingRecipe, folder: Path) -> State:
    """A fresh student and optimiser; the seed decides the new head."""
    torch.manual_seed(recipe.seed)
    student = Student(folder, layers=recipe.layers)
    settings = recipe.optimiser
    optimiser = torch.optim.AdamW(
        parameter_groups(student, recipe), weight_decay=settings.weight_decay
    )
    average = (
        {name: value.detach().clone() for name, value in student.state_dict().items()}
        if settings.average
        else {}
    )
    return State(student, optimiser, average)


def train(
    recipe: TrainingRecipe,
    state: State,
    plan: Sequence[Step],
    graded: Sequence[TokenList],
    anchored: Sequence[TokenList],
    *,
    after_step: Callable[[State, float], None],
) -> None:
    """Runs the plan from `state.step` to its end.

    `after_step` is called with the state and the step's loss; it reports, evaluates and saves.
    """
    student, settings = state.student, recipe.optimiser
    autocast = in_bfloat16(recipe.precision)
    student.train()
    for step in plan[state.step :]:
        batch = assemble(anchored if step.anchored else graded, step.picks)
        with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
            logits = student(batch)
        if step.anchored:
            loss = step.weight * losses.margin_mse(logits, batch.targets, batch.lists)
        else:
            loss = losses.ranknet(logits, batch.targets, batch.lists)
            loss = loss + recipe.pointwise * losses.soft_bce(logits, batch.targets)
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(student.parameters(), settings.clip_norm)
        rate = rate_share(state.step, len(plan), settings.warmup_share)
        for group in state.optimiser.param_groups:
            group["lr"] = group["peak"] * rate
        state.optimiser.step()
        state.optimiser.zero_grad(set_to_none=True)
        state.step += 1
        _move_average(state, settings.average)
        after_step(state, float(loss.detach()))


def save_checkpoint(state: State, path: Path, recipe_hash: str) -> None:
    """Writes all that `load_checkpoint` needs, beside and renamed, so a kill leaves a whole one."""
    content = {
        "recipe": recipe_hash,
        "step": state.step,
        "student": state.student.state_dict(),
        "optimiser": state.optimiser.state_dict(),
        "average": state.average,
        "curve": state.curve,
        "random": torch.get_rng_state(),
    }
    staged = path.with_suffix(".new")
    torch.save(content, staged)
    staged.replace(path)


def load_checkpoint(state: State, path: Path, recipe_hash: str) -> None:
    """Brings `state` to where the checkpoint was taken, dropout's generator included.

    Raises `ConfigError` for one of another recipe or other data.
    """
    content: dict[str, Any] = torch.load(path, weights_only=True)
    if content["recipe"] != recipe_hash:
        raise ConfigError(f"{path}: of another recipe or other data; start in an empty folder")
    state.student.load_state_dict(content["student"])
    state.optimiser.load_state_dict(content["optimiser"])
    state.average = content["average"]
    state.step = content["step"]
    state.curve = content["curve"]
    torch.set_rng_state(content["random"])


def parameter_groups(student: Student, recipe: TrainingRecipe) -> list[dict[str, Any]]:
    """Groups with their peak rate: the head's own, the layers' falling towards the embeddings."""
    settings = recipe.optimiser
    groups: dict[tuple[float, float], list[Tensor]] = {}
    for name, parameter in student.named_parameters():
        decay = settings.weight_decay if parameter.ndim > 1 else 0.0
        groups.setdefault((_peak(name, student.depth, recipe), decay), []).append(parameter)
    return [
        {"params": members, "lr": peak, "peak": peak, "weight_decay": decay}
        for (peak, decay), members in groups.items()
    ]


def _peak(name: str, depth: int, recipe: TrainingRecipe) -> float:
    settings = recipe.optimiser
    if "pooler" in name or "classifier" in name:
        return settings.head_learning_rate
    marker = "encoder.layer."
    below = depth
    if marker in name:
        layer = int(name.partition(marker)[2].partition(".")[0])
        below = depth - 1 - layer
    return settings.learning_rate * settings.layer_decay**below


def rate_share(step: int, total: int, warmup_share: float) -> float:
    """Linear from 0 to 1 over the warm-up, then linear to 0 just past the last step."""
    warmup = warmup_share * total
    if step < warmup:
        return (step + 1) / (warmup + 1)
    return (total - step) / (total - warmup)


def _move_average(state: State, decay: float) -> None:
    if not decay:
        return
    # Young averages forget their start faster, or the untrained head would linger in them.
    decay = min(decay, (1 + state.step) / (10 + state.step))
    with torch.no_grad():
        for name, value in state.student.state_dict().items():
            if value.dtype.is_floating_point:
                state.average[name].lerp_(value, 1 - decay)


@contextmanager
def published_weights(state: State) -> Iterator[None]:
    """Puts the moving average, where there is one, in the place of the weights for a while."""
    if not state.average:
        yield
        return
    kept = {name: value.clone() for name, value in state.student.state_dict().items()}
    state.student.load_state_dict(state.average)
    try:
        yield
    finally:
        state.student.load_state_dict(kept)
