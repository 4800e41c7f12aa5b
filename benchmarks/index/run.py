"""Contenders in interleaved rounds, on one fresh index each, against one cluster."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from opensearchpy import OpenSearch

from benchmarks.child import last_words
from benchmarks.index.agreement import Agreement, agreement
from benchmarks.index.catalogue import write_catalogue
from benchmarks.index.contender import Sample
from benchmarks.index.result import FORMAT, IndexResult, Plan
from benchmarks.machine import Load, load_average, this_machine
from rerank_core.cluster.connection import connect
from rerank_core.cluster.dialect import Dialect, detect
from rerank_core.cluster.settings import ClusterSettings
from rerank_core.errors import SetupError

_TIMEOUT_S = 3600


def measure(
    plan: Plan,
    settings: ClusterSettings,
    say: Callable[[str], None],
    keep: Callable[[IndexResult], None] = lambda _: None,
    earlier: IndexResult | None = None,
) -> IndexResult:
    """Runs every contender in every round, after those of an `earlier` call on the same.

    `keep` takes what there is after each round. Raises `ConfigError`, `SetupError`,
    `ClusterError`.
    """
    with tempfile.TemporaryDirectory(prefix="rerank-index-") as made, connect(settings) as client:
        run = _Run(plan, settings, client, detect(client), Path(made), say)
        done = 0
        if earlier is not None:
            run.samples += earlier.samples
            run.memory += earlier.memory
            run.notes += earlier.notes
            run.agreement = earlier.agreement
            done = len(earlier.samples) // len(plan.contenders)
        for number in range(done, done + plan.rounds):
            run.round(number)
            keep(run.result())
        for products in plan.memory_products:
            run.measure_memory(products)
        return run.result()


@dataclass
class _Run:
    """What the rounds share, and what came of them."""

    plan: Plan
    settings: ClusterSettings
    client: OpenSearch
    dialect: Dialect
    folder: Path
    say: Callable[[str], None]
    samples: list[Sample] = field(default_factory=list)
    memory: list[Sample] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    agreement: Agreement | None = None
    load_before: Load = field(default_factory=load_average)

    def result(self) -> IndexResult:
        """All until now."""
        return IndexResult(
            format=FORMAT,
            machine=this_machine(),
            cluster=f"{self.dialect.name} {self.dialect.version}",
            load_before=self.load_before,
            load_after=load_average(),
            data=self.plan.data.name,
            products=self.plan.products,
            samples=tuple(self.samples),
            agreement=self.agreement,
            memory=tuple(self.memory),
            notes=tuple(dict.fromkeys(self.notes)),
        )

    def round(self, number: int) -> None:
        """Each contender once."""
        contenders = self.plan.contenders
        catalogue = self.folder / "catalogue.jsonl"
        if not catalogue.exists():
            write_catalogue(self.plan.data, self.plan.products, catalogue)
        # Turned by one each round, so that no contender always comes first.
        turn = number % len(contenders)
        indexes: dict[str, str] = {}
        try:
            for name in contenders[turn:] + contenders[:turn]:
                indexes[name] = f"benchmark-{uuid.uuid4().hex}"
                sample = self._load(name, catalogue, indexes[name], "merge", "minilm")
                self._tell(f"round {number + 1}: {name}", sample)
                self.samples.append(sample)
            if self.agreement is None and {"ours", "parallel_bulk"} <= indexes.keys():
                self.agreement = agreement(self.client, self.dialect, indexes, self.folder)
        finally:
            for index in indexes.values():
                self.client.indices.delete(index=index, ignore_unavailable=True)

    def measure_memory(self, products: int) -> None:
        """Ours alone, without graph and merge, which are the cluster's."""
        catalogue = self.folder / "large.jsonl"
        real = write_catalogue(self.plan.data, products, catalogue, vary=True)
        if real < products:
            self.notes.append(
                f"{real:,} of the {products:,} products for memory are real, the others are the "
                "same with a number behind their title"
            )
        if self.plan.memory_encoder != "minilm":
            self.notes.append(
                f"for memory alone the encoder is {Path(self.plan.memory_encoder).name}"
            )
        index = f"benchmark-{uuid.uuid4().hex}"
        try:
            encoder = self.plan.memory_encoder
            sample = self._load("ours", catalogue, index, "memory", encoder)
        finally:
            self.client.indices.delete(index=index, ignore_unavailable=True)
        self._tell(f"{products:,} products: ours", sample)
        self.memory.append(sample)

    def _tell(self, what: str, sample: Sample) -> None:
        speed, peak = sample.documents / sample.seconds, sample.peak_bytes >> 20
        self.say(f"{what} {speed:,.0f} documents a second, {peak} MB")

    def _load(self, name: str, catalogue: Path, index: str, finish: str, encoder: str) -> Sample:
        vectors = str(self.folder / f"{name}.npy")
        module = "benchmarks.index.contender"
        command = [sys.executable, "-m", module, name, str(catalogue), index]
        done = subprocess.run(  # noqa: S603  our own module
            [*command, self.settings.url, vectors, finish, encoder],
            capture_output=True,
            text=True,
            check=False,
            timeout=_TIMEOUT_S,
            cwd=Path(__file__).parents[2],
        )
        if done.returncode:
            raise SetupError(f"contender {name} failed: {last_words(done)}")
        return Sample(**json.loads(done.stdout.splitlines()[-1]))
