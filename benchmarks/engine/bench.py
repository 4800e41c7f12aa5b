"""What all trials share: the model in its forms, the workloads, the yardstick, the rounds."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.engine.folders import operations_a_token
from benchmarks.engine.peak import PeakMeasure
from benchmarks.engine.scoring import REFERENCE, Logits, score_rows, tokenised
from benchmarks.engine.tei_policy import TeiPolicy
from benchmarks.engine.workload import Workload
from benchmarks.results import Absent, Peak, Series, Trial
from benchmarks.rounds import Contender, interleaved
from rerank_core.artifact import Artifact
from rerank_core.engine import CrossEncoder, Engine
from rerank_core.engine.selection import PathChoice

YARDSTICK = "R"
Tell = Callable[[str], object]


@dataclass
class Bench:
    """Everything a trial needs; what it cannot measure it adds to `absent`."""

    artifact: Artifact
    models: dict[PathChoice, CrossEncoder]
    """By the choice of path."""
    workloads: tuple[Workload, ...]
    exported: Path
    """The graph of R."""
    scratch: Path
    cores: int
    rounds: int
    tell: Tell
    stack: ExitStack
    """Closes what trials start."""
    absent: list[Absent] = field(default_factory=list)
    _wanted: dict[str, list[Logits]] = field(default_factory=dict)

    def engine(self, workers: int) -> Engine:
        """A running engine, closed with the bench."""
        return self.stack.enter_context(Engine(workers=workers))

    @property
    def operations_a_token(self) -> float:
        """Of the whole model."""
        return operations_a_token(self.artifact)

    def wanted(self, workload: Workload) -> list[Logits]:
        """Our fp32 logits of every request; computed once."""
        if workload.name not in self._wanted:
            model = tokenised(self.models[REFERENCE], workload)
            with Engine(workers=self.cores) as engine:
                self._wanted[workload.name] = [
                    score_rows(engine, model, request) for request in workload.requests
                ]
        return self._wanted[workload.name]

    def of_policy(self, policy: TeiPolicy, workload: Workload) -> list[Logits]:
        """R's logits of every request."""
        column = self.artifact.manifest.output.index
        return [policy.score(request.tokens)[:, column] for request in workload.requests]


@dataclass(frozen=True)
class Entry:
    """A contender with what its series shall say."""

    name: str
    detail: str
    contender: Contender
    yardstick: str = ""
    operations_a_token: float = 0.0
    difference: float | None = None


def hold_trial(
    bench: Bench,
    title: str,
    workload: Workload,
    entries: list[Entry],
    *,
    peak: PeakMeasure | None = None,
) -> Trial:
    """Times the entries in the same rounds, and what the cores reach at most beside them."""
    reached: list[float] = []

    def measure_peak(_: int) -> float:
        if peak is not None:
            reached.append(peak.measure())
        return 0.0

    contenders = {entry.name: entry.contender for entry in entries}
    label = f"{title}, {workload.name}"
    samples = interleaved(
        contenders | ({peak.name: measure_peak} if peak else {}),
        bench.rounds,
        tell=lambda done: bench.tell(f"{label}: round {done} of {bench.rounds}"),
    )
    requests = [workload.at(number) for number in range(bench.rounds)]
    return Trial(
        title=title,
        workload=workload.name,
        texts=len(requests[0].texts),
        tokens=tuple(int(request.tokens.lengths.sum()) for request in requests),
        series=tuple(
            Series(
                entry.name,
                entry.detail,
                tuple(samples[entry.name]),
                entry.yardstick,
                entry.operations_a_token,
                entry.difference,
            )
            for entry in entries
        ),
        # The first is of the round that is thrown away.
        peaks=(Peak(peak.name, peak.detail, tuple(reached[1:])),) if peak else (),
    )
