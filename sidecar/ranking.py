"""The order of the answer: scored documents first, the rest as the first stage had it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import count, repeat
from typing import NamedTuple

from rerank_core.artifact import ProbabilityCalibration
from rerank_core.engine import CrossEncoder, Product
from sidecar.degraded import Degraded
from sidecar.models import Served


class Candidate(NamedTuple):
    """A hit of the first stage. A tuple: a thousand a request are made, also where it is shed."""

    id: str
    index: int  # type: ignore[assignment]  # in place of tuple.index, which a hit has no use for
    """Place in the caller's list, from 0."""
    first_stage_rank: int
    """1 is best; unique within a request."""
    first_stage_score: float | None = None
    content: Product = ""
    """What the cross-encoder reads."""


@dataclass(frozen=True, slots=True)
class Score:
    """What the cross-encoder says of a document."""

    logit: float
    probability: float | None
    """Where the model is calibrated."""


class Placed(NamedTuple):
    """A candidate at its place in the answer. A tuple, as candidates are."""

    candidate: Candidate
    rank: int
    """From 1."""
    score: Score | None
    """None: not scored."""


@dataclass(frozen=True, slots=True)
class Ranking:
    """The answer to one rerank."""

    placed: tuple[Placed, ...]
    degraded: tuple[Degraded, ...]
    scored: int
    """Of all candidates, those that `top_n` cut off included."""
    model: Served[CrossEncoder] | None
    """What scored them; None where nothing was scored."""
    cached: int = 0
    """Of those scored, how many scores were remembered."""
    tokens: int = 0
    """What the engine was asked to read, about."""


NOTHING_RANKED = Ranking((), (), 0, None)
"""Of no candidates, or of a page that an earlier call ranked."""


def place(
    candidates: Sequence[Candidate],
    logits: Mapping[int, float],
    calibration: ProbabilityCalibration | None,
) -> tuple[Placed, ...]:
    """Candidates in the order of the answer.

    `candidates` are in first-stage order; `logits` are by position there. Scored ones come by
    falling logit, ties in first-stage order, then those not scored in first-stage order.
    """
    scored = sorted(logits, key=lambda position: (-logits[position], position))
    best = [
        Placed(candidates[position], rank, _score(logits[position], calibration))
        for rank, position in enumerate(scored, start=1)
    ]
    rest: Iterable[Candidate] = candidates
    if logits:
        rest = [candidate for at, candidate in enumerate(candidates) if at not in logits]
    return (*best, *map(Placed, rest, count(len(best) + 1), repeat(None)))


def _score(logit: float, calibration: ProbabilityCalibration | None) -> Score:
    return Score(logit, None if calibration is None else probability(logit, calibration))


def probability(logit: float, calibration: ProbabilityCalibration) -> float:
    """Platt scaling, 1 / (1 + exp(-(slope * logit + intercept))), for any finite logit."""
    return logistic(calibration.slope * logit + calibration.intercept)


def logistic(x: float) -> float:
    """1 / (1 + exp(-x)), for any finite number."""
    if x >= 0:
        return 1.0 / (1.0 + math.exp(-x))
    # exp(-x) would overflow where x is far below zero.
    return math.exp(x) / (1.0 + math.exp(x))
