"""The record of a choice of fusion, which a profile may name."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from rerank_core import records
from rerank_core.cluster.fusion import Method
from rerank_core.errors import ConfigError


@dataclass(frozen=True)
class ChosenWeights:
    """What was chosen, on what, and what it was worth on queries that had no part in the choice."""

    method: Method
    weights: Mapping[Literal["lexical", "vector"], float]
    data: str
    split: str
    queries: int
    index: str
    templates: Mapping[str, str]
    """Ids of the legs' templates."""
    encoder_hash: str
    ndcg: float
    """nDCG@10 with the chosen weights on all queries: optimistic, they were chosen on them."""
    held_out: float
    """Mean over folds, each by weights that were chosen on the other folds."""
    held_out_low: float
    """Ends of its 95 % bootstrap interval over queries."""
    held_out_high: float
    better_leg: float
    """nDCG@10 of the better leg alone."""
    chosen_at: str


def read_weights(path: Path) -> ChosenWeights:
    """Raises `ConfigError` naming the file and each fault."""
    try:
        value = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(
            f"weights_file {path}: {error.strerror or error}; choose weights with "
            f"python -m benchmarks fusion --out {path}"
        ) from error
    except ValueError as error:
        raise ConfigError(f"weights_file {path}: not TOML: {error}") from error
    return records.read_value(ChosenWeights, value, f"weights_file {path}", ConfigError)
