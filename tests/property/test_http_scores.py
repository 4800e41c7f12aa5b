"""Scores over HTTP: whatever the logits, every client keeps the order."""

from __future__ import annotations

import json
import re

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from sidecar.http.scores import raw, shares

PROBABILITIES = st.lists(st.floats(0, 1) | st.sampled_from([0.0, 1.0, 0.5]), max_size=50)
LOGITS = st.lists(
    st.floats(-100, 100, width=32) | st.sampled_from([16.0, 0.0, -16.5, 0.1]), max_size=50
)
UNSCORED = st.integers(0, 20)


def _check(written):
    for number in written:
        # What a JSON reader makes a decimal of: no exponent, no bare integer.
        assert re.fullmatch(r"-?\d+\.\d{6}", number)
        assert len(number) <= 18
    values = [np.float32(json.loads(number)) for number in written]
    assert all(values[at] > values[at + 1] for at in range(len(values) - 1))


@given(PROBABILITIES, UNSCORED)
def test_shares_fall_strictly_between_0_and_1(probabilities, unscored):
    """Also where all are 1 or all are 0; scored ones above those that are not."""
    falling = sorted(probabilities, reverse=True)
    written = shares([*falling, *[None] * unscored])
    _check(written)
    assert all(0 <= float(number) <= 1 for number in written)


@given(LOGITS, UNSCORED)
def test_raw_scores_fall_strictly(logits, unscored):
    """For logits of any size that a model gives."""
    _check(raw([*sorted(logits, reverse=True), *[None] * unscored]))


def test_hand_worked_shares():
    """Ties a millionth apart; the end of the list keeps room for those behind."""
    assert shares([1.0, 1.0, 0.25]) == ["1.000000", "0.999999", "0.250000"]
    assert shares([0.0, 0.0, None]) == ["0.000002", "0.000001", "0.000000"]
    assert shares([0.5]) == ["0.500000"]


def test_hand_worked_raw_scores():
    """At 20, float32 steps by 1.9 millionths: the tie is two below."""
    assert raw([-1.5, -1.5, None]) == ["-1.500000", "-1.500001", "-1.500002"]
    assert raw([20.0, 20.0]) == ["20.000000", "19.999998"]
