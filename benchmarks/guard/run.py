"""Both builds serve side by side and take turns."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from benchmarks.guard.verdict import LEAST_BLOCKS, Round
from benchmarks.machine import Load, Machine, load_average, this_machine
from benchmarks.scenarios.ground import NO_CACHE, documents
from benchmarks.serving import Build, running
from benchmarks.workload.traffic import Traffic
from rerank_client import RerankClient
from rerank_core.errors import ConfigError

FORMAT = 2
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
    round. Both are started anew for each of eight blocks of rounds: one process a build would be
    one observation of it, however often it is asked. No score cache. Raises `SetupError` where a
    build does not come to serve, `ConfigError` where they compute on different numeric paths or
    the rounds are fewer than the blocks.
    """
    if rounds < LEAST_BLOCKS:
        raise ConfigError(f"rounds is {rounds}; at least {LEAST_BLOCKS}, one a pair of processes")
    before = load_average()
    found: list[Round] = []
    for block in range(LEAST_BLOCKS):
        numbers = range(block * rounds // LEAST_BLOCKS, (block + 1) * rounds // LEAST_BLOCKS)
        tell(f"block {block + 1} of {LEAST_BLOCKS}, rounds {numbers[0] + 1} to {numbers[-1] + 1}")
        found += _block(
            (reference, this), traffic, numbers, block, model, scratch / f"guard-{block}"
        )
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


def _block(
    builds: tuple[Build, Build],
    traffic: Traffic,
    numbers: range,
    block: int,
    model: str,
    folder: Path,
) -> list[Round]:
    """These rounds of two fresh processes, reference first, after a warm-up of both."""
    with ExitStack() as stack:
        clients = []
        # Which one is started first changes, too.
        for at in (0, 1) if block % 2 else (1, 0):
            flags = ("--models.reranker", model, *NO_CACHE)
            sidecar = stack.enter_context(running(folder / str(at), *flags, build=builds[at]))
            client = stack.enter_context(RerankClient(sidecar.target, timeout_s=_TIMEOUT_S))
            clients.append((at, client))
        both = dict(clients)
        _check_paths(builds, both)
        found = []
        for number in range(numbers.start - _WARM_UP, numbers.stop):
            question = number % len(traffic.questions)
            first, second = (0, 1) if number % 2 else (1, 0)
            taken: dict[int, list[float]] = {0: [], 1: []}
            for turn in (first, second, second, first):
                time.sleep(_PAUSE_S)
                taken[turn].append(_ask(both[turn], traffic, question))
            if number >= numbers.start:
                reference_ms, this_ms = ((taken[at][0], taken[at][1]) for at in (0, 1))
                found.append(Round(reference_ms, this_ms, block))
    return found


def _check_paths(builds: tuple[Build, Build], clients: Mapping[int, RerankClient]) -> None:
    paths = [clients[at].model_info().version.numeric_path for at in (0, 1)]
    if paths[0] != paths[1]:
        raise ConfigError(
            f"{builds[0].name} computes on {paths[0]}, {builds[1].name} on {paths[1]}: that is no "
            "comparison of builds; build both with their kernel, and set RERANK_NUMERIC_PATH to a "
            "path that both know"
        )


def _ask(client: RerankClient, traffic: Traffic, question: int) -> float:
    query, asked = documents(traffic, question)
    began = time.perf_counter()
    client.rerank(query, asked, strict=True)
    return (time.perf_counter() - began) * 1e3
