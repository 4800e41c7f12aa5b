"""The native kernel on each instruction set this machine has, beside R and the set's own peak."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import get_args

from benchmarks.engine.bench import YARDSTICK, Bench, Entry, hold_trial
from benchmarks.engine.forward import yardstick
from benchmarks.engine.parity import require_parity
from benchmarks.engine.peak import IntegerPeak
from benchmarks.engine.scoring import score_rows, tokenised
from benchmarks.engine.workload import Workload
from benchmarks.results import Absent, Trial
from benchmarks.rounds import timed
from rerank_core.engine import CrossEncoder, Engine
from rerank_core.engine.native import NativePath
from rerank_core.engine.native_library import Precision, instruction_sets, load_library
from rerank_core.engine.shape import read_shape
from rerank_core.engine.weights import WEIGHTS_NAME, read_weights
from rerank_core.errors import ToolMissingError


def set_trials(bench: Bench) -> Iterator[Trial]:
    """One trial an instruction set and workload; a set that is there is never left out."""
    try:
        library = load_library()
    except ToolMissingError as error:
        bench.absent.append(Absent("instruction sets", str(error)))
        return
    engine = bench.engine(bench.cores)
    found = [
        (name, precision)
        for precision in get_args(Precision)
        for name in instruction_sets(library, precision)
    ]
    for name, precision in found:
        model = _model(bench, name, precision)
        # bfloat16 changes attention alone: the peak is that of the best set of int8.
        peak = IntegerPeak(found[0][0] if precision == "int8-bf16" else name, bench.cores)
        for workload in bench.workloads:
            entries = [
                yardstick(bench, workload, bench.cores, YARDSTICK),
                _entry(bench, engine, model, workload, name),
            ]
            yield hold_trial(bench, f"native on {name}", workload, entries, peak=peak)


def _model(bench: Bench, name: str, precision: Precision) -> CrossEncoder:
    shape = read_shape(bench.artifact)
    weights = read_weights(bench.artifact.folder / WEIGHTS_NAME, shape, classifier=True)
    path = NativePath(weights, shape, precision=precision, instruction_set=name)
    return replace(next(iter(bench.models.values())), path=path)


def _entry(
    bench: Bench, engine: Engine, model: CrossEncoder, workload: Workload, name: str
) -> Entry:
    mine = tokenised(model, workload)
    found = [score_rows(engine, mine, request) for request in workload.requests]
    difference = require_parity(found, bench.wanted(workload), "reduced")
    work = timed(lambda number: score_rows(engine, mine, workload.at(number)))
    return Entry(name, model.numeric_path, work, YARDSTICK, bench.operations_a_token, difference)
