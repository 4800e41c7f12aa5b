"""What `benchmarks analyzers` found, as a file that can be kept: no text of the data in it."""

from __future__ import annotations

from dataclasses import dataclass

from benchmarks.machine import Load, Machine
from rerank_core.measures import Interval

FORMAT = 1


@dataclass(frozen=True)
class Compared:
    """A candidate beside the shipped query, on the queries that it was looked at with."""

    name: str
    ndcg: Interval
    difference: Interval
    """To the shipped one, query by query."""
    p_value: float
    """Of a two-sided paired randomisation test, not corrected for the other candidates."""


@dataclass(frozen=True)
class SetFound:
    """One folder."""

    name: str
    queries: int
    products: int
    candidates: tuple[Compared, ...]
    gain: Interval
    """Of each query by the candidate chosen without it, over the shipped one."""


@dataclass(frozen=True)
class AnalyzersResult:
    """Every candidate on every set, and what choosing among them is worth."""

    format: int
    machine: Machine
    load_before: Load
    load_after: Load
    cluster: str
    split: str
    sets: tuple[SetFound, ...]
    chosen: str
    """Best on all queries, each set counting the same."""
    folds: dict[str, int]
    """How often which candidate was chosen, over folds and repeats."""
    gain: Interval
    """Mean over sets of the held-out gain."""
