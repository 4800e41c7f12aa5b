"""Where a request's time goes: the engine's stages, the kernel's, and ONNX Runtime's operators."""

from __future__ import annotations

import gc
import itertools
import json
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import onnxruntime as ort

from benchmarks.engine.bench import YARDSTICK, Bench
from benchmarks.engine.scoring import score_rows, tokenised
from benchmarks.engine.tei_policy import TeiPolicy
from benchmarks.engine.tokenising import unread
from benchmarks.engine.workload import Workload
from benchmarks.results import Profile
from rerank_core.engine import CrossEncoder, Engine, load_cross_encoder
from rerank_core.engine.native import NativePath

_SMALLEST_SHARE = 0.01
_ROWS = 24  # enough for three batches of R


def profiles(bench: Bench) -> Iterator[Profile]:
    """Stages of a request on each path, then what is inside: of the kernel, and of ONNX graphs."""
    engine = bench.engine(bench.cores)
    for workload in bench.workloads:
        for choice, model in bench.models.items():
            stages = _stages(bench, engine, model, workload)
            yield Profile(f"{choice}, stages", workload.name, stages)
    for workload in bench.workloads:
        yield from _kernel(bench, workload)
        yield from _operators(bench, workload)


def _kernel(bench: Bench, workload: Workload) -> Iterator[Profile]:
    """The kernel's own stages on one thread, every unit of every request as it is planned.

    In processor time, and of a unit's stage the least of all rounds counts: what else runs on the
    core only adds.
    """
    rows = [request.tokens for request in workload.requests]
    for choice, model in bench.models.items():
        path = model.path
        if not isinstance(path, NativePath):
            continue
        units = [tokens.rows(unit) for tokens in rows for unit in path.plan(tokens)]
        least: list[dict[str, float]] = [path.stages(unit) for unit in units]
        for _ in range(bench.rounds):
            for before, unit in zip(least, units, strict=True):
                before |= {name: min(before[name], s) for name, s in path.stages(unit).items()}
        total: Counter[str] = Counter()
        for of_unit in least:
            total.update(of_unit)
        tokens = sum(int(unit.lengths.sum()) for unit in units)
        whole_s = sum(total.values())
        shares = {name: took_s / whole_s for name, took_s in total.items()}
        yield Profile(f"{choice}, kernel", workload.name, shares, whole_s / tokens * 1e6)


def _stages(
    bench: Bench, engine: Engine, model: CrossEncoder, workload: Workload
) -> dict[str, float]:
    """Shares of the engine's own times, summed over all requests, texts not read before."""
    total: Counter[str] = Counter()
    cold = unread(model, bench.artifact, workload)
    for request in workload.requests:
        stream = engine.submit(cold, request.query, request.texts)
        list(stream)
        times = stream.times
        total.update(
            {"queue": times.queue_ms, "tokenise": times.tokenize_ms, "score": times.score_ms}
        )
    whole = sum(total.values())
    return {name: took_ms / whole for name, took_ms in total.items()}


def _operators(bench: Bench, workload: Workload) -> Iterator[Profile]:
    """Of some rows on one thread, so that an operator's time is its own."""
    whole = workload.at(0)
    rows = np.arange(min(_ROWS, len(whole.texts)))
    request = replace(whole, texts=whole.texts[: len(rows)], tokens=whole.tokens.rows(rows))
    folder = bench.scratch / f"operators-{workload.name}"
    folder.mkdir()
    with profiled_sessions(folder / YARDSTICK):
        TeiPolicy(bench.exported, 1).score(request.tokens)
    found = {YARDSTICK: _ended_sessions(folder, YARDSTICK)}
    with Engine(workers=1) as engine:
        for choice in bench.models:
            with profiled_sessions(folder / choice):
                model = load_cross_encoder(bench.artifact, choice)
            # One that served as the measure of another while that was loaded is over by now.
            before = _ended_sessions(folder, choice)
            score_rows(engine, tokenised(model, replace(workload, requests=(request,))), request)
            del model
            found[choice] = _ended_sessions(folder, choice) - before
    for name, counts in found.items():
        if counts:
            yield Profile(f"{name}, operators", workload.name, _shares(counts))


@contextmanager
def profiled_sessions(prefix: Path) -> Iterator[None]:
    """Sessions that are made within write their profile to a file when they end."""
    numbers = itertools.count()

    class Profiled(ort.SessionOptions):  # type: ignore[misc]  # it has no types
        def __init__(self) -> None:
            super().__init__()
            self.enable_profiling = True
            # What it adds is the time in seconds: two sessions would write to one file.
            self.profile_file_prefix = f"{prefix}-{next(numbers)}"

    with patch.object(ort, "SessionOptions", Profiled):
        yield


def _ended_sessions(folder: Path, name: str) -> Counter[str]:
    """Microseconds by operator of the sessions of this name that are over."""
    gc.collect()
    took: Counter[str] = Counter()
    for path in folder.glob(f"{name}-*.json"):
        try:
            events: list[dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))
        except ValueError:
            continue  # its session lives and goes on writing
        for event in events:
            if event.get("cat") == "Node" and event["name"].endswith("_kernel_time"):
                took[event["args"]["op_name"]] += event["dur"]
    return took


def _shares(took: Counter[str]) -> dict[str, float]:
    """Largest first; what is under a hundredth is summed up as the rest."""
    whole = sum(took.values()) or 1
    shares = {name: value / whole for name, value in took.most_common()}
    large = {name: share for name, share in shares.items() if share >= _SMALLEST_SHARE}
    rest = sum(share for share in shares.values() if share < _SMALLEST_SHARE)
    return large | ({"rest": rest} if rest else {})
