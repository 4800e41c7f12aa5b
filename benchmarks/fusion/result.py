"""The record of a choice that is kept beside the code: figures alone, no text of the data."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from benchmarks.fusion.choice import SetWorth
from benchmarks.machine import Load, Machine
from rerank_core.cluster.weights import ChosenWeights
from rerank_core.errors import ConfigError
from rerank_core.measures import Interval
from rerank_core.records import read_json

FORMAT = 1


@dataclass(frozen=True)
class Looked:
    """A setting of the grid, on the queries of the choice."""

    method: str
    lexical: float
    ndcg: float


@dataclass(frozen=True)
class FusionResult:
    """What was chosen, on what machine and commit, and what it is worth."""

    format: int
    machine: Machine
    load_before: Load
    load_after: Load
    cluster: str
    depth: int
    """Hits of each leg."""
    chosen: ChosenWeights
    """As a profile takes it."""
    held_out: Interval
    """Mean over sets, each query by settings that were chosen without it."""
    sets: tuple[SetWorth, ...]
    grid: tuple[Looked, ...]
    folds: dict[str, int]
    """How often which setting was chosen, over folds and repeats."""


def read_fusion(path: Path) -> FusionResult:
    """Raises `ConfigError` for anything else, other formats too."""
    result = read_json(FusionResult, path, str(path), ConfigError)
    if result.format != FORMAT:
        raise ConfigError(f"{path}: format {result.format}, this version reads {FORMAT}")
    return result
