"""Calibration against numbers worked out by hand."""

import math

import numpy as np
import pytest

from distillation.calibration import Platt, cross_validated, fit_platt, quality
from rerank_core.errors import InputError


def test_a_line_is_a_sigmoid_of_the_logit():
    """2 x 1 - 1 = 1."""
    assert Platt(2.0, -1.0)(np.array([1.0]))[0] == pytest.approx(1 / (1 + math.exp(-1)))


def test_two_logits_take_the_shares_that_were_seen():
    """Logit 0 was relevant half the time, logit 1 in three of four: intercept 0, slope log 3."""
    line = fit_platt([0.0, 1.0], [0.5, 0.75])
    assert line.intercept == pytest.approx(0.0, abs=1e-3)
    assert line.slope == pytest.approx(math.log(3), abs=1e-3)


def test_ece_and_brier_are_their_definitions():
    """Bin .2: two pairs, mean share .5, off by .25; bin .9: one pair, off by .1.

    ECE 2/3 x .25 + 1/3 x .1 = .2; Brier (.25^2 + .75^2 + .1^2) / 3.
    """
    found = quality(np.array([0.25, 0.25, 0.9]), [0.0, 1.0, 1.0])
    assert found.ece == pytest.approx(0.2)
    assert found.brier == pytest.approx((0.0625 + 0.5625 + 0.01) / 3)
    assert [(one.pairs, one.observed) for one in found.bins] == [(2, 0.5), (1, 1.0)]


@pytest.mark.parametrize(
    ("logits", "shares", "named"),
    [
        ([1.0, 1.0], [0.0, 1.0], "different logits"),
        ([0.0, 1.0], [0.5, 0.5], "different grades"),
        ([0.0, 1.0], [1.0, 0.0], "higher logits are not more relevant"),
    ],
)
def test_what_has_no_line_is_told(logits, shares, named):
    """No order, or one that is upside down, gets no probability."""
    with pytest.raises(InputError, match=named):
        fit_platt(logits, shares)


def test_a_held_out_query_has_no_part_in_its_own_line():
    """Query c says nothing of order; its probabilities follow the line of the others."""
    logits = [0.0, 2.0, 0.0, 2.0, 0.0, 2.0]
    shares = [0.1, 0.9, 0.1, 0.9, 0.5, 0.5]
    found = cross_validated(logits, shares, ["a", "a", "b", "b", "c", "c"], folds=3)
    assert found[4:] == pytest.approx([0.1, 0.9], abs=1e-3)
