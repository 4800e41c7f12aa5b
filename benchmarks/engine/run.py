"""`benchmarks engine`: the sections, in their order."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path

from benchmarks.engine.against_peers import peer_trials
from benchmarks.engine.bench import Bench, Tell
from benchmarks.engine.foretold import foretellings
from benchmarks.engine.forward import forward_trials, layer_trials, thread_trials
from benchmarks.engine.instruction_sets import set_trials
from benchmarks.engine.profile import profiles
from benchmarks.engine.scoring import load_paths
from benchmarks.engine.tei_export import ABOUT, export_graph
from benchmarks.engine.titles import title_trials
from benchmarks.engine.tokenising import tokenising_trials
from benchmarks.engine.workload import draw
from benchmarks.machine import load_average, this_machine
from benchmarks.results import FORMAT, Absent, EngineResult, Foretold, Profile, Trial
from rerank_core.artifact import open_named
from rerank_core.engine import load_cross_encoder, usable_cores
from rerank_core.measures import BeirFolder


class Section(StrEnum):
    """Parts of the benchmark, each of use alone."""

    FORWARD = "forward"
    SETS = "sets"
    TOKENISING = "tokenising"
    THREADS = "threads"
    LAYERS = "layers"
    PROFILE = "profile"
    TITLES = "titles"
    COST = "cost"
    PEERS = "peers"


_TRIALS: dict[Section, Callable[[Bench], Iterator[Trial]]] = {
    Section.FORWARD: forward_trials,
    Section.SETS: set_trials,
    Section.TOKENISING: tokenising_trials,
    Section.THREADS: thread_trials,
    Section.LAYERS: layer_trials,
    Section.TITLES: title_trials,
    Section.PEERS: peer_trials,
}


@dataclass(frozen=True)
class Plan:
    """What to measure, on what."""

    data: Path
    model: str = "student"
    sections: tuple[Section, ...] = tuple(Section)
    rounds: int = 9
    candidates: int = 100
    """Products a query."""
    requests: int = 4
    """Distinct ones a workload; rounds take turns with them."""


def measure(
    plan: Plan,
    tell: Tell,
    show: Callable[[Trial], object],
    keep: Callable[[EngineResult], object] = lambda _: None,
) -> EngineResult:
    """Everything in the plan; each trial is shown as soon as it is done.

    `keep` is given all results so far after each of them, so that a run that is broken off has not
    been for nothing. Files it makes are in a temporary folder, peers are processes; neither
    outlives it. Raises `SetupError` and `InputError` for what must be mended first.
    """
    before = load_average()
    artifact = open_named(plan.model)
    tokenizer_json = (artifact.folder / "tokenizer.json").read_text(encoding="utf-8")
    workloads = draw(
        BeirFolder(plan.data),
        tokenizer_json,
        requests=plan.requests,
        candidates=plan.candidates,
    )
    models, absent = load_paths(artifact, load_cross_encoder)
    with ExitStack() as stack:
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="rerank-bench-")))
        tell("exporting the yardstick")
        bench = Bench(
            artifact=artifact,
            models=models,
            workloads=workloads,
            exported=export_graph(artifact.folder, scratch / "yardstick.onnx"),
            scratch=scratch,
            cores=usable_cores(),
            rounds=plan.rounds,
            tell=tell,
            stack=stack,
            absent=absent,
        )
        result = EngineResult(
            format=FORMAT,
            machine=this_machine(),
            load_before=before,
            load_after=before,
            model=artifact.manifest.name,
            model_hash=artifact.manifest.model_hash,
            data=plan.data.name,
            workloads={
                one.name: f"{one.about}, {one.tokens_a_pair:.1f} tokens a pair" for one in workloads
            },
            yardstick=ABOUT,
            rounds=plan.rounds,
            trials=(),
        )
        for section in plan.sections:
            for found in _results(bench, section):
                result = _with(result, found, tuple(bench.absent))
                keep(result)
                if isinstance(found, Trial):
                    show(found)
    # What was found absent by the last section is known only now.
    result = replace(result, load_after=load_average(), absent=tuple(bench.absent))
    keep(result)
    return result


def _results(bench: Bench, section: Section) -> Iterator[Trial | Profile | Foretold]:
    if section is Section.PROFILE:
        bench.tell("profiling")
        yield from profiles(bench)
    elif section is Section.COST:
        yield from foretellings(bench)
    else:
        yield from _TRIALS[section](bench)


def _with(
    result: EngineResult, found: Trial | Profile | Foretold, absent: tuple[Absent, ...]
) -> EngineResult:
    result = replace(result, load_after=load_average(), absent=absent)
    if isinstance(found, Trial):
        return replace(result, trials=(*result.trials, found))
    if isinstance(found, Profile):
        return replace(result, profiles=(*result.profiles, found))
    return replace(result, foretold=(*result.foretold, found))
