"""Why an answer is less than what was asked for."""

from __future__ import annotations

from enum import Enum, auto

from rerank_core.errors import (
    DeadlineError,
    NotReadyError,
    OverloadError,
    RerankError,
    ScoringError,
)


class Degraded(Enum):
    """The contract's reasons, by their names there."""

    DEADLINE = auto()
    OVERLOAD = auto()
    MODEL_NOT_READY = auto()
    ENCODER_MISMATCH = auto()
    RECIPE_MISMATCH = auto()
    LEG_FAILED = auto()
    SCORING_FAILED = auto()


SCORING_DEGRADES: dict[type[RerankError], Degraded] = {
    DeadlineError: Degraded.DEADLINE,
    OverloadError: Degraded.OVERLOAD,
    NotReadyError: Degraded.MODEL_NOT_READY,
    ScoringError: Degraded.SCORING_FAILED,
}
"""Errors of scoring that leave an answer worth having: the first stage's order."""
