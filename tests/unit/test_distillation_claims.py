"""Claims against numbers worked out by hand."""

import pytest

from distillation.study.claims import (
    claims,
    control,
    holm,
    mean_over_seeds,
    qualification,
    slopes,
)
from rerank_core.errors import InputError


def test_seeds_are_averaged_query_by_query():
    """.2 and .4 are .3; seeds of other queries are refused."""
    assert mean_over_seeds([{"q": 0.2}, {"q": 0.4}]) == {"q": pytest.approx(0.3)}
    with pytest.raises(InputError):
        mean_over_seeds([{"q": 0.2}, {"r": 0.4}])


def test_a_slope_is_what_a_doubling_is_worth():
    """x1, x4, x16 at .1, .2, .3: .05 a doubling."""
    arms = {100: {"q": 0.1}, 400: {"q": 0.2}, 1600: {"q": 0.3}}
    assert slopes(arms) == {"q": pytest.approx(0.05)}
    with pytest.raises(InputError):
        slopes({100: {"q": 0.1}})


def test_holm_multiplies_the_smallest_most_and_never_falls():
    """.01 x 3, .02 x 2, then .03 x 1 stays at .04, what came before it."""
    assert holm([0.03, 0.01, 0.02]) == pytest.approx([0.04, 0.03, 0.04])
    assert holm([0.9, 0.8]) == [1.0, 1.0]


def test_a_clear_effect_holds_and_the_other_way_does_not():
    """Twenty queries, each better than teacher and A, and better with every size."""
    queries = [f"q{number}" for number in range(20)]
    low, high = dict.fromkeys(queries, 0.5), dict.fromkeys(queries, 0.6)
    better = claims(low, low, {100: low, 1600: high})
    assert [one.holds for one in better] == [True, True, True]
    worse = claims(high, high, {100: high, 1600: low})
    assert [one.holds for one in worse] == [False, False, False]
    assert all(one.test.difference.mean < 0 for one in worse)


def test_a_teacher_qualifies_over_both_or_not_at_all():
    """.1 over the floor and over A at each of 20 queries is no chance; one is no proof."""
    queries = [f"q{number}" for number in range(20)]
    low, high = dict.fromkeys(queries, 0.5), dict.fromkeys(queries, 0.6)
    assert qualification(high, low, low).passed
    assert not qualification(high, low, high).passed
    assert not qualification(high, high, low).passed
    assert not qualification(low, high, high).passed
    assert control(high, low).difference.mean == pytest.approx(0.1)
