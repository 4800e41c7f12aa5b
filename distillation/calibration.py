"""From a logit to a probability of relevance, and how well that is kept."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from sklearn.linear_model import LogisticRegression

from rerank_core.errors import InputError

Values = npt.NDArray[np.float64]
BINS = 10


@dataclass(frozen=True)
class Platt:
    """probability = 1 / (1 + exp(-(slope * logit + intercept)))."""

    slope: float
    intercept: float

    def __call__(self, logits: Values) -> Values:
        """Probabilities, same shape."""
        found: Values = 1 / (1 + np.exp(-(self.slope * logits + self.intercept)))
        return found


@dataclass(frozen=True)
class Bin:
    """Predictions of about one probability."""

    predicted: float
    observed: float
    """Mean share of the scale that people gave."""
    pairs: int


@dataclass(frozen=True)
class Quality:
    """Of probabilities against shares of the scale."""

    ece: float
    """Expected calibration error over ten bins of equal width. Naeini et al. 2015."""
    brier: float
    """Mean squared error. Brier 1950."""
    bins: tuple[Bin, ...]


def fit_platt(logits: Sequence[float], shares: Sequence[float]) -> Platt:
    """The maximum likelihood line where a pair is relevant with its share. Platt 1999.

    Raises `InputError` where all logits or all shares are equal, or the slope is not above 0: a
    model that orders no better than chance has no probability.
    """
    scores, targets = np.asarray(logits, np.float64), np.asarray(shares, np.float64)
    if len(scores) < 2 or np.ptp(scores) == 0 or np.ptp(targets) == 0:
        raise InputError("calibration", "needs pairs of different logits and different grades")
    # A soft target is two rows, weighed: relevant with its share, irrelevant with the rest.
    rows = np.concatenate([scores, scores])[:, None]
    classes = np.repeat([1, 0], len(scores))
    weights = np.concatenate([targets, 1 - targets])
    model = LogisticRegression(C=1e6, max_iter=1_000).fit(rows, classes, sample_weight=weights)
    slope, intercept = float(model.coef_[0, 0]), float(model.intercept_[0])
    if slope <= 0:
        raise InputError("calibration", f"slope {slope:.3g}: higher logits are not more relevant")
    return Platt(slope, intercept)


def quality(probabilities: Values, shares: Sequence[float]) -> Quality:
    """ECE, Brier and the reliability curve."""
    targets = np.asarray(shares, np.float64)
    place = np.minimum((probabilities * BINS).astype(int), BINS - 1)
    bins, error = [], 0.0
    for number in range(BINS):
        inside = place == number
        if not inside.any():
            continue
        predicted, observed = probabilities[inside].mean(), targets[inside].mean()
        bins.append(Bin(float(predicted), float(observed), int(inside.sum())))
        error += inside.mean() * abs(predicted - observed)
    brier = float(np.mean((probabilities - targets) ** 2))
    return Quality(float(error), brier, tuple(bins))


def cross_validated(
    logits: Sequence[float], shares: Sequence[float], groups: Sequence[str], folds: int = 5
) -> Values:
    """Probabilities of pairs by a line that was fitted without their query."""
    scores, targets = np.asarray(logits, np.float64), np.asarray(shares, np.float64)
    names = {name: number for number, name in enumerate(dict.fromkeys(groups))}
    fold = np.array([names[name] % folds for name in groups])
    found = np.empty(len(scores))
    for number in range(folds):
        held = fold == number
        if held.any():
            found[held] = fit_platt(scores[~held].tolist(), targets[~held].tolist())(scores[held])
    return found
