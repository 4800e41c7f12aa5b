"""What an index benchmark found, as a file keeps it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

from benchmarks.index.agreement import Agreement
from benchmarks.index.contender import NAMES, Sample
from benchmarks.machine import Load, Machine, this_machine
from rerank_core.errors import ConfigError

FORMAT = 2


@dataclass(frozen=True)
class Plan:
    """What is measured."""

    data: Path
    products: int = 20_000
    rounds: int = 3
    contenders: tuple[str, ...] = NAMES
    memory_products: tuple[int, ...] = ()
    """So many are loaded by ours alone, once each, to see whether its memory grows."""
    memory_encoder: str = "minilm"
    """By this one, since memory does not ask for speed or for good vectors."""


@dataclass(frozen=True)
class IndexResult:
    """All that `benchmarks index` measured."""

    format: int
    machine: Machine
    cluster: str
    load_before: Load
    load_after: Load
    data: str
    products: int
    samples: tuple[Sample, ...]
    """In the order in which they ran."""
    agreement: Agreement | None = None
    memory: tuple[Sample, ...] = ()
    """Of ours by number of products, without graph and merge."""
    notes: tuple[str, ...] = field(default=())

    def median(self, name: str, figure: Callable[[Sample], float]) -> float:
        """Over the contender's rounds."""
        return median(figure(sample) for sample in self.samples if sample.name == name)

    @property
    def names(self) -> tuple[str, ...]:
        """Of the contenders, as they first ran."""
        return tuple(dict.fromkeys(sample.name for sample in self.samples))

    @property
    def peaks(self) -> tuple[Sample, ...]:
        """Of the runs for memory, which share an encoder, fewest products first."""
        return tuple(sorted(self.memory, key=lambda one: one.documents))

    def shares(self, name: str) -> tuple[float, float, float]:
        """Waiting for vectors, for the cluster, and for its merge, of the time of all three.

        The first two run side by side in ours, so that its shares may sum to more than 1.
        """

        def share(seconds: Callable[[Sample], float]) -> float:
            return self.median(name, lambda one: seconds(one) / (one.seconds + one.merge_s))

        return (
            share(lambda one: one.encode_s),
            share(lambda one: one.write_s),
            share(lambda one: one.merge_s),
        )

    @property
    def wall_by_processor_share(self) -> float:
        """Ours: seconds by those that the same work takes where every core is always busy."""
        cores = self.machine.cores
        return self.median(
            "ours", lambda one: one.seconds * cores / (one.builder_cpu_s + one.cluster_cpu_s)
        )

    def check_same(self, plan: Plan, where: str) -> None:
        """Raises `ConfigError` where `plan` measures something else, or on another machine."""
        wanted = (FORMAT, plan.data.name, plan.products, set(plan.contenders))
        if (self.format, self.data, self.products, set(self.names)) != wanted:
            raise ConfigError(f"{where}: is of another plan; name another file, or leave --add out")
        if self.machine.processor != this_machine().processor:
            raise ConfigError(f"{where}: is of another machine; name another file")

    def ratios(self, name: str) -> list[float]:
        """How many times faster ours is than `name`, round by round."""
        ours, theirs = (
            [sample.seconds for sample in self.samples if sample.name == one]
            for one in ("ours", name)
        )
        return [their / our for our, their in zip(ours, theirs, strict=False)]
