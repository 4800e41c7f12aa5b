"""Both builds serve side by side and take turns."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from benchmarks.guard.verdict import Round
from benchmarks.machine import Load, Machine, load_average, this_machine
from benchmarks.scenarios.ground import NO_CACHE, documents
from benchmarks.serving import Build, running
from benchmarks.workload.traffic import Traffic
from rerank_client import RerankClient

FORMAT = 1
_TIMEOUT_S = 120.0
_WARM_UP = 3
# Workers that have just ended a request have stopped spinning by then.
_PAUSE_S = 0.02


@dataclass(frozen=True)
class GuardResult:
    """Raw rounds of two builds."""

    format: int
    machine: Machine
    load_before: Load
    load_after: Load
    reference: str
    workload: str
    model: str
    rounds: tuple[Round, ...]


def take_turns(
    this: Build,
    reference: Build,
    traffic: Traffic,
    *,
    model: str,
    rounds: int,
    scratch: Path,
    tell: Callable[[str], None],
) -> GuardResult:
    """Service times of one caller, each round with a question of its own, asked of both builds.

    In a round the order is reference, this, this, reference, and in the next the other way
    round. No score cache. Raises `SetupError` where a build does not come to serve.
    """
    before = load_average()
    with ExitStack() as stack:
        clients = []
        for number, build in enumerate((reference, this)):
            tell(f"starting {build.name}")
            flags = ("--models.reranker", model, *NO_CACHE)
            sidecar = stack.enter_context(running(scratch / f"guard-{number}", *flags, build=build))
            clients.append(stack.enter_context(RerankClient(sidecar.target, timeout_s=_TIMEOUT_S)))
        found = []
        for number in range(-_WARM_UP, rounds):
            question = number % len(traffic.questions)
            first, second = (0, 1) if number % 2 else (1, 0)
            taken: dict[int, list[float]] = {0: [], 1: []}
            for turn in (first, second, second, first):
                time.sleep(_PAUSE_S)
                taken[turn].append(_ask(clients[turn], traffic, question))
            if number >= 0:
                tell(f"round {number + 1} of {rounds}")
                found.append(Round((taken[0][0], taken[0][1]), (taken[1][0], taken[1][1])))
    return GuardResult(
        FORMAT,
        this_machine(),
        before,
        load_average(),
        reference.name,
        traffic.name,
        Path(model).name,
        tuple(found),
    )


def _ask(client: RerankClient, traffic: Traffic, question: int) -> float:
    query, asked = documents(traffic, question)
    began = time.perf_counter()
    client.rerank(query, asked, strict=True)
    return (time.perf_counter() - began) * 1e3
