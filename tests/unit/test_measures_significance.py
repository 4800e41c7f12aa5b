"""Paired test and bootstrap on cases whose answer can be counted."""

import pytest

from rerank_core.errors import InputError
from rerank_core.measures import bootstrap, paired_test


def test_three_wins_of_one_size_have_a_p_value_of_a_quarter():
    """Of the 8 sign patterns of three equal differences, 2 are as far from 0 as the real one."""
    test = paired_test({"a": 0.5, "b": 0.6, "c": 0.7}, {"a": 0.4, "b": 0.5, "c": 0.6})
    assert test.p_value == pytest.approx(2 / 8, abs=0.02)
    assert test.difference.mean == pytest.approx(0.1)
    assert test.queries == 3


def test_ten_wins_of_one_size_have_a_p_value_of_2_in_1024():
    """Only all-plus and all-minus are as extreme: 2 of 1,024 patterns, plus 1 in 10,001."""
    ours = {str(number): 1.0 for number in range(10)}
    test = paired_test(ours, dict.fromkeys(ours, 0.0))
    assert test.p_value == pytest.approx(2 / 1024, abs=0.0015)


def test_equal_rankers_have_a_p_value_of_1():
    """No difference is never a surprise."""
    values = {"a": 0.1, "b": 0.9}
    test = paired_test(values, values)
    assert test.p_value == 1.0
    assert (test.difference.low, test.difference.high) == (0.0, 0.0)


def test_the_p_value_is_two_sided():
    """Losing by as much is as surprising as winning."""
    ours, theirs = {"a": 0.9, "b": 0.5, "c": 0.7}, {"a": 0.1, "b": 0.4, "c": 0.6}
    assert paired_test(ours, theirs).p_value == paired_test(theirs, ours).p_value


def test_a_p_value_is_never_0():
    """10,000 flips cannot show less than 1 in 10,001."""
    ours = {str(number): 1.0 for number in range(200)}
    assert paired_test(ours, dict.fromkeys(ours, 0.0)).p_value == pytest.approx(1 / 10_001)


def test_different_queries_on_the_two_sides_are_refused():
    """A pair needs both its values; the odd query is named."""
    with pytest.raises(InputError, match="one side only: b"):
        paired_test({"a": 1.0, "b": 1.0}, {"a": 1.0})


def test_no_queries_are_refused():
    """The mean of nothing is not 0."""
    with pytest.raises(InputError, match="there are none"):
        bootstrap({})


def test_the_interval_of_a_coin_is_the_binomial_one():
    """100 values, half of them 1: the mean of resamples has a deviation of .05.

    95 % of the binomial (100, .5) lie within .40 and .60.
    """
    interval = bootstrap({str(number): float(number % 2) for number in range(100)})
    assert interval.mean == 0.5
    assert interval.low == pytest.approx(0.40, abs=0.011)
    assert interval.high == pytest.approx(0.60, abs=0.011)


def test_a_seed_decides_the_draw_and_the_order_of_queries_does_not():
    """The same values in another order give the same interval and p, bit by bit."""
    forward = {str(number): number / 7 for number in range(20)}
    backward = dict(reversed(forward.items()))
    zeros = dict.fromkeys(forward, 1.3)
    assert bootstrap(forward) == bootstrap(backward)
    assert paired_test(forward, zeros) == paired_test(backward, zeros)
    assert bootstrap(forward, seed=1) != bootstrap(forward, seed=2)
