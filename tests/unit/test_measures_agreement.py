"""Equivalence within a margin, and agreement of orders."""

from __future__ import annotations

import pytest

from rerank_core.errors import InputError
from rerank_core.measures import equivalence_test, kendall_tau


def values(*numbers):
    return {str(place): number for place, number in enumerate(numbers)}


def test_equivalence_by_hand():
    """Differences .01, -.01, .02, 0: mean .005, standard error .01291 / 2.

    Against -.03 t is .035 / .006455 = 5.42, against +.03 it is -3.87: with 3 degrees of freedom the
    larger p is .0152.
    """
    theirs = values(0.5, 0.5, 0.5, 0.5)
    found = equivalence_test(values(0.51, 0.49, 0.52, 0.5), theirs, 0.03)
    assert found.difference == pytest.approx(0.005)
    assert found.p_value == pytest.approx(0.0152, abs=0.0002)
    assert found.holds
    assert found.queries == 4


def test_a_difference_beyond_the_margin_does_not_hold():
    """However sure it is; nor does one that is unsure."""
    theirs = values(*[0.5] * 6)
    worse = equivalence_test(values(0.4, 0.41, 0.39, 0.4, 0.41, 0.39), theirs, 0.05)
    assert not worse.holds
    unsure = equivalence_test(values(0.2, 0.8, 0.1, 0.9, 0.5, 0.5), theirs, 0.05)
    assert unsure.difference == pytest.approx(0)
    assert not unsure.holds


def test_no_difference_at_all_holds():
    same = values(0.1, 0.9)
    assert equivalence_test(same, same, 0.005).holds


def test_what_cannot_be_tested_is_refused():
    with pytest.raises(InputError, match="measured on one side only: 1"):
        equivalence_test(values(0.1), values(0.1, 0.2), 0.01)
    with pytest.raises(InputError, match="two or more"):
        equivalence_test(values(0.1), values(0.2), 0.01)


def test_kendall_tau_by_hand():
    """Of three documents one pair is turned: (2 - 1) / 3. Equal orders are 1, turned ones -1."""
    run = {"q": {"a": 3.0, "b": 2.0, "c": 1.0}}
    assert kendall_tau(run, {"q": {"c": 0.1, "b": 0.3, "a": 0.2}})["q"] == pytest.approx(1 / 3)
    assert kendall_tau(run, {"q": {"a": 30, "b": 20, "c": 10}}) == {"q": 1.0}
    assert kendall_tau(run, {"q": {"a": 1, "b": 2, "c": 3}}) == {"q": -1.0}


def test_scores_that_are_all_equal_have_no_tau():
    assert kendall_tau({"q": {"a": 1.0, "b": 1.0}}, {"q": {"a": 1.0, "b": 2.0}}) == {}


def test_runs_of_other_documents_are_refused():
    with pytest.raises(InputError, match="queries"):
        kendall_tau({"q": {"a": 1.0}}, {})
    with pytest.raises(InputError, match="query q"):
        kendall_tau({"q": {"a": 1.0}}, {"q": {"b": 1.0}})
