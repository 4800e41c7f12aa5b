"""`benchmarks run`: scenarios one after the other, the result kept after each."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path

from benchmarks.machine import load_average, this_machine
from benchmarks.points import FORMAT, Point, Scenario, SuiteResult
from benchmarks.results import Absent
from benchmarks.scenarios import (
    budget,
    cache,
    cost,
    funnel,
    memory,
    saturation,
    start,
    stock,
    swap,
    wire,
)
from benchmarks.scenarios.ground import Ground
from rerank_client import RerankClient
from rerank_core.artifact import open_named
from rerank_core.errors import ConfigError, RerankError

_ASK_S = 5.0


class Question(StrEnum):
    """What can be asked, each of use alone."""

    SATURATION = "saturation"
    COST = "cost"
    BUDGET = "budget"
    CACHE = "cache"
    START = "start"
    SWAP = "swap"
    FUNNEL = "funnel"
    STOCK = "stock"
    MEMORY = "memory"
    WIRE = "wire"


_ASKED: Mapping[Question, tuple[Callable[[Ground], Iterator[Point]], str]] = {
    Question.SATURATION: (saturation.points, saturation.ABOUT),
    Question.COST: (cost.points, cost.ABOUT),
    Question.BUDGET: (budget.points, budget.ABOUT),
    Question.CACHE: (cache.points, cache.ABOUT),
    Question.START: (start.points, start.ABOUT),
    Question.SWAP: (swap.points, swap.ABOUT),
    Question.FUNNEL: (funnel.points, funnel.ABOUT),
    Question.STOCK: (stock.points, stock.ABOUT),
    Question.MEMORY: (memory.points, memory.ABOUT),
    Question.WIRE: (wire.points, wire.ABOUT),
}
QUICK = (
    Question.SATURATION,
    Question.COST,
    Question.BUDGET,
    Question.CACHE,
    Question.START,
    Question.MEMORY,
)


@dataclass(frozen=True)
class Plan:
    """What to ask, on what."""

    data: Path
    questions: tuple[Question, ...] = tuple(Question)
    model: str = "student"
    candidates: int = 100
    numeric_path: str | None = None
    quick: bool = False


def measure(
    plan: Plan,
    tell: Callable[[str], None],
    show: Callable[[Scenario], object],
    keep: Callable[[SuiteResult], object],
    into: SuiteResult | None = None,
) -> SuiteResult:
    """Everything in the plan; each scenario is shown and kept as soon as it is done.

    `into` is an earlier result of the same machine and model: scenarios of the same name are
    replaced, the others stay. What cannot run here is absent with its reason; the others go on.
    Raises the first reason where nothing could.
    """
    if not plan.data.is_dir():
        raise ConfigError(f"{plan.data}: no such folder; name a BEIR folder")
    artifact = open_named(plan.model)
    with tempfile.TemporaryDirectory(prefix="rerank-bench-") as made:
        ground = Ground(
            plan.data,
            artifact,
            Path(made),
            plan.quick,
            tell,
            plan.candidates,
            plan.numeric_path,
        )
        result = _begin(ground, plan, into)
        keep(result)
        failed: list[RerankError] = []
        for question in plan.questions:
            asked, about = _ASKED[question]
            before = load_average()
            name = question.value
            try:
                points = tuple(asked(ground))
            except RerankError as error:
                failed.append(error)
                reason = str(error).replace(made, "SCRATCH").replace(str(plan.data), "DATA")
                result = replace(result, absent=(*result.absent, Absent(name, reason)))
                tell(f"{name}: {error}")
                keep(result)
                continue
            scenario = Scenario(
                name,
                about,
                before,
                load_average(),
                points,
                result.machine.commit,
                plan.data.resolve().name,
                plan.candidates,
                plan.quick,
            )
            result = _with(result, scenario)
            keep(result)
            show(scenario)
    if len(failed) == len(plan.questions):
        raise failed[0]
    return result


def _begin(ground: Ground, plan: Plan, into: SuiteResult | None) -> SuiteResult:
    """The head of the result: a sidecar of this build says what it serves."""
    with ground.sidecar() as sidecar, RerankClient(sidecar.target, timeout_s=_ASK_S) as client:
        version = client.model_info().version
    machine = this_machine()
    # A result names no folder of the machine it comes from.
    model = Path(plan.model).name
    fresh = SuiteResult(FORMAT, machine, model, version.hash, version.numeric_path, ())
    if into is None:
        return fresh
    same = (into.model_hash, into.numeric_path, into.machine.processor, into.machine.cores)
    if same != (version.hash, version.numeric_path, machine.processor, machine.cores):
        raise ConfigError(
            "the result file is of another machine, model or numeric path; name another file"
        )
    return replace(fresh, scenarios=into.scenarios, absent=into.absent)


def _with(result: SuiteResult, scenario: Scenario) -> SuiteResult:
    others = tuple(one for one in result.scenarios if one.name != scenario.name)
    absent = tuple(one for one in result.absent if one.name != scenario.name)
    return replace(result, scenarios=(*others, scenario), absent=absent)
