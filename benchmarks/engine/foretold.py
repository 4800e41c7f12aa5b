"""The cost model held against the clock: batches foretold before they are computed."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import numpy as np

from benchmarks.engine.bench import Bench
from benchmarks.engine.scoring import score_rows, tokenised
from benchmarks.engine.workload import Request, Workload
from benchmarks.results import Foretold
from rerank_core.engine import CrossEncoder, makespan_ms, parts

_BATCH_ROWS = 32
_BATCHES = 30
# Until the cost model has followed a load that has just begun.
_UNTOLD = 5
_SEED = 6


def foretellings(bench: Bench) -> Iterator[Foretold]:
    """Each path on batches of real rows, idle and beside as many spinning processes as cores."""
    engine = bench.engine(bench.cores)
    for workload in bench.workloads:
        batches = list(_batches(workload))
        for choice, model in bench.models.items():
            for load in ("idle", "loaded"):
                bench.tell(f"foretelling {choice}, {workload.name}, {load}")
                with _spinning(bench.cores if load == "loaded" else 0):
                    expected: list[float] = []
                    taken: list[float] = []
                    again: list[float] = []
                    for batch in batches:
                        mine = tokenised(model, replace(workload, requests=(batch,)))
                        expected.append(expected_ms(model, batch, bench.cores))
                        for times in (taken, again):
                            began = time.perf_counter()
                            score_rows(engine, mine, batch)
                            times.append((time.perf_counter() - began) * 1e3)
                yield Foretold(
                    model.numeric_path,
                    workload.name,
                    load,
                    tuple(expected[_UNTOLD:]),
                    tuple(taken[_UNTOLD:]),
                    tuple(again[_UNTOLD:]),
                )


def expected_ms(model: CrossEncoder, batch: Request, workers: int) -> float:
    """What the cost model says of a batch, planned as the engine plans it."""
    tokens = batch.tokens
    read = [
        tokens.rows(np.arange(part.start, part.stop)) for part in parts(model.path, len(tokens))
    ]
    return makespan_ms(
        (model.cost.unit_ms(part.lengths[unit]) for part in read for unit in model.path.plan(part)),
        workers,
    )


def _batches(workload: Workload) -> Iterator[Request]:
    random = np.random.default_rng(_SEED)
    for number in range(_BATCHES + _UNTOLD):
        whole = workload.at(number)
        rows = random.choice(len(whole.texts), min(_BATCH_ROWS, len(whole.texts)), replace=False)
        texts = tuple(whole.texts[row] for row in rows)
        yield Request(whole.query, texts, whole.tokens.rows(rows))


@contextmanager
def _spinning(processes: int) -> Iterator[None]:
    """So many processes that do nothing but compute, while the block lasts."""
    spinners = [
        subprocess.Popen([sys.executable, "-c", "while True: sum(range(10**6))"])
        for _ in range(processes)
    ]
    try:
        yield
    finally:
        for spinner in spinners:
            spinner.kill()
            spinner.wait()
