"""Forward passes on rows that are tokenised already, beside R; threads; fewer layers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from benchmarks.engine.bench import YARDSTICK, Bench, Entry, hold_trial
from benchmarks.engine.folders import copy_model, operations_a_token
from benchmarks.engine.parity import Arithmetic, ParityError, require_parity
from benchmarks.engine.peak import GemmPeak
from benchmarks.engine.scoring import load_paths, score_rows, tokenised
from benchmarks.engine.tei_policy import TeiPolicy
from benchmarks.engine.workload import Workload
from benchmarks.results import Absent, Trial
from benchmarks.rounds import timed
from rerank_core.artifact import open_artifact
from rerank_core.engine import CrossEncoder, Engine, load_cross_encoder
from rerank_core.engine.selection import PathChoice

_FEWER_LAYERS = (2, 3, 4)


def forward_trials(bench: Bench) -> Iterator[Trial]:
    """R and every path on all cores, one trial a workload."""
    engine = bench.engine(bench.cores)
    for workload in bench.workloads:
        entries = [yardstick(bench, workload, bench.cores, YARDSTICK)]
        wanted = bench.wanted(workload)
        for choice, model in bench.models.items():
            mine = tokenised(model, workload)
            found = [score_rows(engine, mine, request) for request in workload.requests]
            try:
                difference = require_parity(found, wanted, _arithmetic(model))
            except ParityError as error:
                bench.absent.append(Absent(f"{choice}, {workload.name}", str(error)))
                continue
            entry = _path(bench, engine, model, workload, choice, YARDSTICK)
            entries.append(replace(entry, difference=difference))
        yield hold_trial(bench, "forward", workload, entries, peak=GemmPeak(bench.cores))


def thread_trials(bench: Bench) -> Iterator[Trial]:
    """R and every path on 1 to all cores; each is compared with R on as many."""
    counts = range(1, bench.cores + 1)
    engines = {count: bench.engine(count) for count in counts}
    for workload in bench.workloads:
        entries = []
        for count in counts:
            beside = f"{YARDSTICK}, {_threads(count)}"
            entries.append(yardstick(bench, workload, count, beside))
            entries += [
                _path(
                    bench,
                    engines[count],
                    model,
                    workload,
                    f"{choice}, {_threads(count)}",
                    beside,
                )
                for choice, model in bench.models.items()
            ]
        yield hold_trial(bench, "threads", workload, entries)


def layer_trials(bench: Bench) -> Iterator[Trial]:
    """Every path with the model's first layers alone, beside R with all of them."""
    layers = bench.artifact.object("config.json")["num_hidden_layers"]
    engine = bench.engine(bench.cores)
    cut: dict[int, dict[PathChoice, CrossEncoder]] = {layers: bench.models}
    for count in _FEWER_LAYERS:
        if count < layers:
            folder = copy_model(bench.artifact, bench.scratch / f"layers-{count}", count)
            cut[count], absent = load_paths(open_artifact(folder), load_cross_encoder)
            bench.absent += [Absent(f"{one.name}, {count} layers", one.reason) for one in absent]
    for workload in bench.workloads:
        entries = [yardstick(bench, workload, bench.cores, YARDSTICK)]
        for count in sorted(cut):
            for choice, model in cut[count].items():
                entry = _path(
                    bench, engine, model, workload, f"{choice}, {count} layers", YARDSTICK, count
                )
                entries.append(entry)
        yield hold_trial(bench, "layers", workload, entries)


def yardstick(bench: Bench, workload: Workload, threads: int, name: str) -> Entry:
    """R on so many threads, its scores held against our fp32."""
    policy = TeiPolicy(bench.exported, threads)
    difference = require_parity(bench.of_policy(policy, workload), bench.wanted(workload), "fp32")
    work = timed(lambda number: policy.score(workload.at(number).tokens))
    operations = bench.operations_a_token
    return Entry(name, "torch export, batches of 8", work, name, operations, difference)


def _path(
    bench: Bench,
    engine: Engine,
    model: CrossEncoder,
    workload: Workload,
    name: str,
    beside: str,
    layers: int | None = None,
) -> Entry:
    mine = tokenised(model, workload)
    work = timed(lambda number: score_rows(engine, mine, workload.at(number)))
    operations = operations_a_token(bench.artifact, layers)
    return Entry(name, model.numeric_path, work, beside, operations)


def _arithmetic(model: CrossEncoder) -> Arithmetic:
    return "fp32" if model.numeric_path.endswith("fp32") else "reduced"


def _threads(count: int) -> str:
    return "1 thread" if count == 1 else f"{count} threads"
