"""One training loop for teachers and students: lists in, a loss over lists; seeded, resumable."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console
from torch import Tensor
from torch.utils.tensorboard import SummaryWriter

from distillation import losses
from distillation.batches import Batch, Pick, assemble, even, plan_epoch
from distillation.lists import TokenList
from distillation.pipeline.fit import Fit
from distillation.precision import in_bfloat16
from distillation.progress import counted
from rerank_core.errors import ConfigError

CHECKPOINT = "checkpoint.pt"
BEST = "best.pt"
EVENTS = "events"
CHOOSES = "nDCG@10"
_SAVE_S = 300.0
"""What a kill may cost at most, between evaluations."""
_FORGET = 0.98
"""The loss that is shown is a moving average; one step has a few lists and jumps about."""


@dataclass
class _State:
    step: int = 0
    seconds: float = 0.0
    loss: float = math.nan
    """A moving average."""
    curve: list[dict[str, float]] = field(default_factory=list)
    average: dict[str, Tensor] = field(default_factory=dict)


def fit(  # noqa: PLR0913 - the loop is one thing, and has many ends
    network: Any,
    settings: Fit,
    lists: Sequence[TokenList],
    folder: Path,
    *,
    seed: int,
    identity: str,
    measure: Callable[[Any], dict[str, float]],
    show: Console,
) -> list[dict[str, float]]:
    """Trains a module, and leaves the weights with the highest nDCG@10 of `measure` in `best.pt`.

    Its outputs are ``(pairs,)`` or ``(pairs, classes)``, and it has `depth` and `layer_of` as
    `Student` has. Goes on from `checkpoint.pt` where a killed run of the same `identity` left one;
    the last one says that all steps are done, and stays until the stage is. Returns the curve of
    evaluations. Raises `ConfigError` for a checkpoint of another identity, and as soon as the loss
    is no finite number.
    """
    torch.manual_seed(seed)
    optimiser = torch.optim.AdamW(_groups(network, settings), fused=True)
    state = _State()
    if settings.average:
        state.average = {name: value.detach().clone() for name, value in _weights(network)}
    if (folder / CHECKPOINT).is_file():
        _load(state, network, optimiser, folder / CHECKPOINT, identity)
        show.print(f"resumed at step {state.step}")
    due = {
        round(settings.steps * (k + 1) / settings.evaluations) for k in range(settings.evaluations)
    }
    started, before_s = time.monotonic(), state.seconds
    saved = started
    network.train()
    plan = _steps(lists, settings, seed)
    with (
        SummaryWriter(str(folder / EVENTS), purge_step=state.step + 1) as board,
        counted(show, "steps", settings.steps, state.step) as more,
    ):
        for picks in plan[state.step :]:
            loss = _step(network, optimiser, state, settings, assemble(lists, picks))
            more(1)
            state.seconds = before_s + time.monotonic() - started
            first = math.isnan(state.loss)
            state.loss = loss if first else _FORGET * state.loss + (1 - _FORGET) * loss
            board.add_scalar("loss", loss, state.step)
            if state.step not in due:
                if time.monotonic() - saved >= _SAVE_S:
                    _save(state, network, optimiser, folder / CHECKPOINT, identity)
                    saved = time.monotonic()
                continue
            with _kept_weights(network, state):
                values = measure(network)
            state.seconds = before_s + time.monotonic() - started
            point = {"step": float(state.step), "loss": state.loss} | values
            point["seconds"] = round(state.seconds, 1)
            state.curve.append(point)
            for name, value in values.items():
                board.add_scalar(name, value, state.step)
            if point[CHOOSES] >= max(one[CHOOSES] for one in state.curve):
                best = state.average or dict(_weights(network))
                _write(best, folder / BEST)
            _save(state, network, optimiser, folder / CHECKPOINT, identity)
            saved = time.monotonic()
            show.print(
                "  ".join(f"{name} {value:.4g}" for name, value in point.items()), highlight=False
            )
    return state.curve


def pairs_read(lists: Sequence[TokenList], settings: Fit, seed: int) -> int:
    """How many different pairs a training sees: fewer than there are where it is short.

    Or where lists are longer than `list_products`, and are not drawn often enough.
    """
    seen = [np.zeros(len(one.tokens), bool) for one in lists]
    for picks in _steps(lists, settings, seed):
        for pick in picks:
            seen[pick.number][pick.rows] = True
    return int(sum(one.sum() for one in seen))


def load_best(network: Any, folder: Path) -> None:
    """Puts the kept weights into the network, which is then ready to score."""
    missing = network.load_state_dict(torch.load(folder / BEST, weights_only=True), strict=False)
    if missing.unexpected_keys:
        raise ConfigError(f"{folder / BEST}: of another network: {missing.unexpected_keys[:3]}")
    network.eval()


def best_point(curve: Sequence[dict[str, float]]) -> dict[str, float]:
    """The evaluation whose weights are kept: the highest, the last of equals."""
    return max(reversed(curve), key=lambda point: point[CHOOSES])


def _steps(lists: Sequence[TokenList], settings: Fit, seed: int) -> list[list[Pick]]:
    """Every step, from the seed alone, so that a resumed run goes the same way."""
    random = np.random.default_rng(seed)
    steps: list[list[Pick]] = []
    while len(steps) < settings.steps:
        steps += plan_epoch(
            lists,
            pairs_a_step=settings.pairs_a_step,
            list_products=settings.list_products,
            random=random,
        )
    return steps[: settings.steps]


def _step(
    network: Any, optimiser: torch.optim.AdamW, state: _State, settings: Fit, batch: Batch
) -> float:
    bfloat16 = in_bfloat16(settings.precision)
    with torch.autocast("cpu", torch.bfloat16, enabled=bfloat16):
        outputs = network(even(batch) if bfloat16 else batch)[: len(batch.targets)]
    loss = losses.loss(settings.loss, settings.pointwise, outputs, batch.targets, batch.lists)
    if not math.isfinite(float(loss.detach())):
        raise ConfigError(f"loss: {float(loss)} at step {state.step}; lower the learning rates")
    loss.backward()  # type: ignore[no-untyped-call]
    parameters = [one for group in optimiser.param_groups for one in group["params"]]
    torch.nn.utils.clip_grad_norm_(parameters, settings.clip_norm)
    rate = rate_share(state.step, settings.steps, settings.warmup_share)
    for group in optimiser.param_groups:
        group["lr"] = group["peak"] * rate
    optimiser.step()
    optimiser.zero_grad(set_to_none=True)
    state.step += 1
    if settings.average:
        # Young averages forget their start faster, or the untrained head would linger in them.
        decay = min(settings.average, state.step / (9 + state.step))
        with torch.no_grad():
            for name, value in _weights(network):
                state.average[name].lerp_(value, 1 - decay)
    return float(loss.detach())


def rate_share(step: int, total: int, warmup_share: float) -> float:
    """Linear from 0 to 1 over the warm-up, then linear to 0 just past the last step."""
    warmup = warmup_share * total
    if step < warmup:
        return (step + 1) / (warmup + 1)
    return (total - step) / (total - warmup)


def _groups(network: Any, settings: Fit) -> list[dict[str, Any]]:
    """Groups with their peak rate: the head's own, the layers' falling towards the embeddings."""
    groups: dict[tuple[float, float], list[Tensor]] = {}
    for name, parameter in network.named_parameters():
        if not parameter.requires_grad:
            continue
        layer = network.layer_of(name)
        if layer == network.depth:
            peak = settings.head_learning_rate
        else:
            peak = settings.learning_rate * settings.layer_decay ** (network.depth - 1 - layer)
        decay = settings.weight_decay if parameter.ndim > 1 else 0.0
        groups.setdefault((peak, decay), []).append(parameter)
    return [
        {"params": members, "lr": peak, "peak": peak, "weight_decay": decay}
        for (peak, decay), members in groups.items()
    ]


def _weights(network: Any) -> Iterator[tuple[str, Tensor]]:
    """The weights that training moves; adapters' frozen bases stay where they came from."""
    for name, parameter in network.named_parameters():
        if parameter.requires_grad:
            yield name, parameter.detach()


@contextmanager
def _kept_weights(network: Any, state: _State) -> Iterator[None]:
    """The moving average, where there is one, in the place of the weights for a while."""
    if not state.average:
        yield
        return
    weights = {name: value.clone() for name, value in _weights(network)}
    network.load_state_dict(state.average, strict=False)
    try:
        yield
    finally:
        network.load_state_dict(weights, strict=False)


def _save(
    state: _State, network: Any, optimiser: torch.optim.AdamW, path: Path, identity: str
) -> None:
    content = {
        "identity": identity,
        "step": state.step,
        "seconds": state.seconds,
        "loss": state.loss,
        "curve": state.curve,
        "average": state.average,
        "weights": dict(_weights(network)),
        "optimiser": optimiser.state_dict(),
        "random": torch.get_rng_state(),
    }
    _write(content, path)


def _load(
    state: _State, network: Any, optimiser: torch.optim.AdamW, path: Path, identity: str
) -> None:
    content: dict[str, Any] = torch.load(path, weights_only=True)
    if content["identity"] != identity:
        raise ConfigError(f"{path}: of another recipe or other data; remove its folder")
    network.load_state_dict(content["weights"], strict=False)
    optimiser.load_state_dict(content["optimiser"])
    state.step, state.curve = content["step"], content["curve"]
    state.seconds, state.loss = content["seconds"], content["loss"]
    state.average = content["average"]
    torch.set_rng_state(content["random"])


def _write(content: object, path: Path) -> None:
    """Beside and renamed, so that a kill leaves a whole one."""
    staged = path.with_suffix(".new")
    torch.save(content, staged)
    staged.replace(path)
