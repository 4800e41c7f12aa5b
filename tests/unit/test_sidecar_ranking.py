"""The order of the answer, and probabilities."""

from __future__ import annotations

import pytest

from rerank_core.artifact import ProbabilityCalibration
from sidecar.ranking import Candidate, place, probability

CANDIDATES = [
    Candidate(id=name, index=index, first_stage_rank=index + 1) for index, name in enumerate("abcd")
]


def _order(placed):
    return "".join(item.candidate.id for item in placed)


def test_scored_documents_come_by_falling_logit():
    """The raw logit decides, its size and sign as they are."""
    placed = place(CANDIDATES, {0: -3.0, 1: 0.5, 2: 40.0, 3: -0.25}, None)
    assert _order(placed) == "cbda"
    assert [item.rank for item in placed] == [1, 2, 3, 4]
    assert [item.score.logit for item in placed] == [40.0, 0.5, -0.25, -3.0]


def test_ties_stay_in_first_stage_order():
    """Equal products do not change places from call to call."""
    assert _order(place(CANDIDATES, dict.fromkeys((3, 1, 0, 2), 1.5), None)) == "abcd"


def test_what_was_not_scored_follows_in_first_stage_order():
    """Also behind documents of a low score: an unknown one is not put before a known one."""
    placed = place(CANDIDATES, {3: -9.0, 1: -5.0}, None)
    assert _order(placed) == "bdac"
    assert [item.score is None for item in placed] == [False, False, True, True]


def test_nothing_scored_is_the_first_stage():
    """The answer of last resort."""
    assert _order(place(CANDIDATES, {}, None)) == "abcd"


def test_no_calibration_no_probability():
    """A sigmoid that nobody fitted would be read as a probability."""
    (first, *_) = place(CANDIDATES, {0: 2.0}, None)
    assert first.score.probability is None


@pytest.mark.parametrize(
    ("logit", "expected"),
    [
        # slope 2, intercept -1: x = 2 * logit - 1
        (0.5, 0.5),  # x = 0
        (1.0, 0.7310585786300049),  # x = 1: 1 / (1 + 1/e)
        (0.0, 0.2689414213699951),  # x = -1: 1 / (1 + e)
        (1e6, 1.0),
        (-1e6, 0.0),  # exp(2e6) would overflow
    ],
)
def test_platt_scaling(logit, expected):
    """Probability = 1 / (1 + exp(-(slope * logit + intercept)))."""
    calibration = ProbabilityCalibration(slope=2.0, intercept=-1.0, data="made up")
    assert probability(logit, calibration) == pytest.approx(expected, abs=1e-15)
