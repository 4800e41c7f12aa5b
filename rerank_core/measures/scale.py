"""The scale that judges used, and the gain of a score on it."""

from __future__ import annotations

import math
from dataclasses import dataclass

from rerank_core.errors import ConfigError, InputError


@dataclass(frozen=True)
class Scale:
    """Scores run from `floor`, worth nothing, to `top`, worth everything."""

    floor: float
    top: float

    def __post_init__(self) -> None:
        if not (math.isfinite(self.floor) and math.isfinite(self.top) and self.floor < self.top):
            raise ConfigError(f"scale {self.floor}..{self.top}: floor must be below top")

    def share(self, score: float, where: str = "score") -> float:
        """(score - floor) / (top - floor), 0..1. Raises `InputError` off the scale."""
        if not self.floor <= score <= self.top:
            raise InputError(where, f"{score} is off the scale {self.floor:g}..{self.top:g}")
        return (score - self.floor) / (self.top - self.floor)

    def gain(self, score: float, where: str = "score") -> int:
        """The share in whole percent, since ir-measures takes whole grades only."""
        return round(100 * self.share(score, where))
