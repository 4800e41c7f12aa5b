"""Contenders in interleaved rounds, on one fresh index each, against one cluster."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from statistics import median

import numpy as np
import numpy.typing as npt
from opensearchpy import OpenSearch

from benchmarks.index.contender import NAMES, Sample
from benchmarks.machine import Load, Machine, load_average, this_machine
from index_builder.gates.queries import real_queries
from index_builder.inputs import scan
from rerank_core.cluster.connection import connect
from rerank_core.cluster.dialect import detect
from rerank_core.cluster.settings import ClusterSettings
from rerank_core.compressed import only_file, open_bytes
from rerank_core.errors import ConfigError, SetupError

FORMAT = 1
_QUERIES = 200
_TOP = 10
_TIMEOUT_S = 3600


@dataclass(frozen=True)
class Plan:
    """What is measured."""

    data: Path
    products: int = 20_000
    rounds: int = 3
    contenders: tuple[str, ...] = NAMES


@dataclass(frozen=True)
class Agreement:
    """Vectors of the index builder's index by those of the script's, which are fp32."""

    mean_cosine: float
    least_cosine: float
    recall_at_10: float
    """Of exact neighbours over the script's, for real queries encoded by each."""
    queries: int


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
    notes: tuple[str, ...] = field(default=())

    def median(self, name: str, figure: Callable[[Sample], float]) -> float:
        """Over the contender's rounds."""
        return median(figure(sample) for sample in self.samples if sample.name == name)

    def ratios(self, name: str) -> list[float]:
        """How many times faster ours is than `name`, round by round."""
        ours, theirs = (
            [sample.seconds for sample in self.samples if sample.name == one]
            for one in ("ours", name)
        )
        return [their / our for our, their in zip(ours, theirs, strict=False)]


def measure(plan: Plan, settings: ClusterSettings, say: Callable[[str], None]) -> IndexResult:
    """Runs every contender in every round. Raises `ConfigError`, `SetupError`, `ClusterError`."""
    before = load_average()
    samples: list[Sample] = []
    agreement = None
    with tempfile.TemporaryDirectory(prefix="rerank-index-") as made, connect(settings) as client:
        folder = Path(made)
        dialect = detect(client)
        catalogue = _write_catalogue(plan, folder)
        for number in range(plan.rounds):
            # Turned by one each round, so that no contender always comes first.
            turn = number % len(plan.contenders)
            indexes: dict[str, str] = {}
            try:
                for name in plan.contenders[turn:] + plan.contenders[:turn]:
                    indexes[name] = f"benchmark-{uuid.uuid4().hex}"
                    sample = _run(name, catalogue, indexes[name], settings, folder)
                    say(
                        f"round {number + 1}: {name} {sample.documents / sample.seconds:,.0f} "
                        f"documents a second, {sample.peak_bytes >> 20} MB"
                    )
                    samples.append(sample)
                if agreement is None and {"ours", "parallel_bulk"} <= indexes.keys():
                    agreement = _agreement(client, indexes, folder)
            finally:
                for index in indexes.values():
                    client.indices.delete(index=index, ignore_unavailable=True)
    return IndexResult(
        format=FORMAT,
        machine=this_machine(),
        cluster=f"{dialect.name} {dialect.version}",
        load_before=before,
        load_after=load_average(),
        data=plan.data.name,
        products=plan.products,
        samples=tuple(samples),
        agreement=agreement,
    )


def _write_catalogue(plan: Plan, folder: Path) -> Path:
    """So many products of distinct texts, and queries beside them. Raises `ConfigError`."""
    texts: set[bytes] = set()
    path = folder / "catalogue.jsonl"
    with open_bytes(only_file(plan.data, "corpus.jsonl")) as rows, path.open("wb") as file:
        for line in rows:
            row = json.loads(line)
            key = row.pop("_id")
            text = json.dumps(row, sort_keys=True).encode()
            if text not in texts:
                texts.add(text)
                file.write(json.dumps({"_id": key, **row}).encode() + b"\n")
            if len(texts) == plan.products:
                break
    if len(texts) < plan.products:
        raise ConfigError(
            f"{plan.data}: has {len(texts):,} distinct products, {plan.products:,} are asked for; "
            "say --products"
        )
    queries = list(islice(real_queries(plan.data), _QUERIES))
    Path(f"{path}.queries").write_text(json.dumps(queries), encoding="utf-8")
    return path


def _run(name: str, catalogue: Path, index: str, settings: ClusterSettings, folder: Path) -> Sample:
    vectors = str(folder / f"{name}.npy")
    command = [sys.executable, "-m", "benchmarks.index.contender", name, str(catalogue), index]
    done = subprocess.run(  # noqa: S603  our own module
        [*command, settings.url, vectors],
        capture_output=True,
        text=True,
        check=False,
        timeout=_TIMEOUT_S,
        cwd=Path(__file__).parents[2],
    )
    if done.returncode:
        raise SetupError(f"contender {name} failed: {done.stderr.strip().splitlines()[-1:]}")
    return Sample(**json.loads(done.stdout.splitlines()[-1]))


def _agreement(client: OpenSearch, indexes: dict[str, str], folder: Path) -> Agreement:
    dialect = detect(client)
    vectors: dict[str, npt.NDArray[np.float32]] = {}
    for name in ("ours", "parallel_bulk"):
        hits = scan(client, dialect, indexes[name], dialect.source(["vector"]))
        by_key = {hit["_id"]: np.asarray(hit["_source"]["vector"], np.float32) for hit in hits}
        vectors[name] = np.stack([by_key[key] for key in sorted(by_key)])
    cosines = np.einsum("ij,ij->i", vectors["ours"], vectors["parallel_bulk"])
    best = {}
    for name, products in vectors.items():
        scores = np.load(folder / f"{name}.npy") @ products.T
        best[name] = np.argsort(-scores, axis=1)[:, :_TOP]
    shared = [
        len(set(ours) & set(theirs))
        for ours, theirs in zip(best["ours"], best["parallel_bulk"], strict=True)
    ]
    return Agreement(
        mean_cosine=float(cosines.mean()),
        least_cosine=float(cosines.min()),
        recall_at_10=float(np.mean(shared)) / _TOP,
        queries=len(shared),
    )
