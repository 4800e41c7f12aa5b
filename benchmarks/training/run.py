"""Interleaved rounds of both loops, each from fresh weights; speed and what was learned."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from benchmarks.machine import Load, Machine, load_average, this_machine
from benchmarks.statistics import Spread, ratios, spread
from benchmarks.training.contenders import Trained, fresh_student, ours, trainer
from benchmarks.training.task import LIST_PRODUCTS, LISTS_A_STEP, TEXT, Task, read_task
from distillation.lists import tokenize
from distillation.student import score, text_encoder

FORMAT = 1
OURS, TRAINER = "distillation.fit", "CrossEncoderTrainer"
_LOOPS = {OURS: ours, TRAINER: trainer}


@dataclass(frozen=True)
class Plan:
    """What is measured."""

    data: Path
    steps: int = 80
    rounds: int = 3
    layers: int = 3
    judged_queries: int = 300


@dataclass(frozen=True)
class Sample:
    """One training from a round's fresh weights."""

    name: str
    round: int
    seconds: float
    pairs_per_s: float
    margin_error: float
    """On dev lists, in squared logits; what the loss is the mean of."""
    pairwise_accuracy: float
    """On dev lists, by people's grades."""


@dataclass(frozen=True)
class TrainingResult:
    """All that `benchmarks training` measured."""

    format: int
    machine: Machine
    load_before: Load
    load_after: Load
    data: str
    layers: int
    steps: int
    pairs_a_step: int
    loss: str
    samples: tuple[Sample, ...]

    def of(self, name: str) -> list[Sample]:
        """One loop's rounds, in order."""
        return [one for one in self.samples if one.name == name]

    @property
    def times_faster(self) -> Spread:
        """Pairs a second of ours by the trainer's of the same round."""
        ours, theirs = ([one.seconds for one in self.of(name)] for name in (OURS, TRAINER))
        return spread(ratios(theirs, ours))


def measure(plan: Plan, tell: Callable[[str], object]) -> Iterator[TrainingResult]:
    """Trains both each round, in turns of who begins; gives all that is known after each round.

    Raises `ConfigError`, `ArtifactError`.
    """
    task = read_task(plan.data, steps=plan.steps, judged_queries=plan.judged_queries)
    before = load_average()
    samples: list[Sample] = []
    for number in range(plan.rounds):
        with fresh_student(plan.layers, seed=number + 1) as start:
            names = list(_LOOPS)
            for name in names[number % 2 :] + names[: number % 2]:
                trained = _LOOPS[name](start, task.learned, plan.steps, number + 1)
                samples.append(_judge(name, number, trained, task, start))
                one = samples[-1]
                tell(
                    f"round {number + 1}, {name}: {one.pairs_per_s:.1f} pairs/s, margin error "
                    f"{one.margin_error:.4f}, pairwise accuracy {one.pairwise_accuracy:.4f}"
                )
        yield TrainingResult(
            format=FORMAT,
            machine=this_machine(),
            load_before=before,
            load_after=load_average(),
            data=plan.data.name,
            layers=plan.layers,
            steps=plan.steps,
            pairs_a_step=LISTS_A_STEP * LIST_PRODUCTS,
            loss="margin-mse over all pairs of a query, teacher: 10 x cosine of all-MiniLM-L6-v2",
            samples=tuple(samples),
        )


def _judge(name: str, number: int, trained: Trained, task: Task, start: Path) -> Sample:
    scores = score(trained.network, tokenize(task.judged.lists, text_encoder(start, TEXT)))
    pairs = sum(len(one.texts) for one in task.learned)
    return Sample(
        name=name,
        round=number,
        seconds=round(trained.seconds, 3),
        pairs_per_s=round(pairs / trained.seconds, 2),
        margin_error=round(task.judged.margin_error(scores), 5),
        pairwise_accuracy=round(task.judged.pairwise_accuracy(scores), 5),
    )
