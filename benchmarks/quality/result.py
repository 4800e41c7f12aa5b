"""All that `benchmarks quality` measured, as a file that can be kept: no text of the data in it."""

from __future__ import annotations

from dataclasses import dataclass

from benchmarks.machine import Load, Machine
from rerank_core.cluster.release import GateRecord
from rerank_core.measures import Interval

FORMAT = 1


@dataclass(frozen=True)
class System:
    """One way to search, and what its answers are worth."""

    name: str
    """``hybrid``, or ``hybrid, reranked``."""
    means: dict[str, Interval]
    """By measure."""
    values: dict[str, dict[str, float]]
    """By measure and query: what the means and tests follow from."""


@dataclass(frozen=True)
class Depth:
    """One depth of the sweep."""

    leg: str
    depth: int
    ndcg: Interval
    """nDCG@10 after the best `depth` were reranked."""
    recall: Interval
    """Of the relevant products among them."""
    ceiling: Interval
    """nDCG@10 of the best order of them."""


@dataclass(frozen=True)
class Comparison:
    """Two systems on the same queries."""

    ours: str
    theirs: str
    measure: str
    difference: Interval
    p_value: float
    """Of a two-sided paired randomisation test."""
    holm_p_value: float
    """The same, corrected for all comparisons of the file."""
    better: int
    """Queries on which ours is ahead."""
    worse: int


@dataclass(frozen=True)
class About:
    """What was measured, and with what."""

    data: str
    split: str
    queries: int
    left_out: int
    """Judged queries that cannot tell systems apart."""
    products: int
    scale: tuple[float, float]
    relevant: float
    """Least grade that recall counts."""
    cluster: str
    encoder: str
    encoder_hash: str
    reranker: str
    reranker_hash: str
    numeric_path: str
    templates: dict[str, str]
    method: str
    weights: dict[str, float]
    depth: int
    gates: tuple[GateRecord, ...]
    rerank_depth: int = 0
    blend: float = 0.0


@dataclass(frozen=True)
class QualityResult:
    """A folder, the models, and every figure."""

    format: int
    machine: Machine
    load_before: Load
    load_after: Load
    about: About
    systems: tuple[System, ...]
    sweep: tuple[Depth, ...]
    comparisons: tuple[Comparison, ...]

    def system(self, name: str) -> System:
        """By its name."""
        return next(one for one in self.systems if one.name == name)
