"""From texts to rows: what tokenising adds to a request, cold and warm."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

from benchmarks.engine.bench import Bench, Entry, hold_trial
from benchmarks.engine.scoring import REFERENCE
from benchmarks.engine.workload import Workload
from benchmarks.results import Trial
from benchmarks.rounds import Contender, timed
from rerank_core.artifact import Artifact
from rerank_core.engine import CrossEncoder
from rerank_core.text import TextEncoder


def tokenising_trials(bench: Bench) -> Iterator[Trial]:
    """Composing the rows of a request: by an encoder that is new, and by one that did it before."""
    for workload in bench.workloads:
        model = bench.models[REFERENCE]
        warm = unread(model, bench.artifact, workload)
        for number in range(len(workload.requests)):
            _composing(warm, workload)(number)
        entries = [
            Entry("cold", "an encoder that has read nothing", _cold(bench, workload)),
            Entry("warm", "an encoder that has read the same", timed(_composing(warm, workload))),
        ]
        yield hold_trial(bench, "tokenising", workload, entries)


def unread(model: CrossEncoder, artifact: Artifact, workload: Workload) -> CrossEncoder:
    """The model with a text encoder of its own that has read nothing, by the workload's recipe."""
    tokenizer_json = (artifact.folder / "tokenizer.json").read_text(encoding="utf-8")
    return replace(model, text=TextEncoder(tokenizer_json, workload.text.recipe))


def _cold(bench: Bench, workload: Workload) -> Contender:
    def once(number: int) -> float:
        # Made outside of the time that is taken.
        model = unread(bench.models[REFERENCE], bench.artifact, workload)
        return timed(_composing(model, workload))(number)

    return once


def _composing(model: CrossEncoder, workload: Workload) -> Callable[[int], object]:
    def compose(number: int) -> object:
        request = workload.at(number)
        return model.composer(request.query)(request.texts)

    return compose
