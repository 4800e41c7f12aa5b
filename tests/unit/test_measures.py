"""Measures against numbers worked out by hand."""

import math

import pytest

from rerank_core.errors import ConfigError, InputError
from rerank_core.measures import (
    Scale,
    evaluate_funnel,
    evaluate_judged_list,
    mixed,
    ndcg,
    pairwise_accuracy,
    ranked,
    spearman,
)

SCALE = Scale(1.0, 3.0)
# Gains 100, 50, 0, so that the ideal DCG is 100 + 50 / log2(3) = 131.546.
JUDGED = {"q1": {"a": 3.0, "b": 2.0, "c": 1.0}}


def test_gain_is_the_share_of_the_scale_in_whole_percent():
    """2.33 of 1..3 is 66.5 %, which rounds to the even 66; the ends are 0 and 100."""
    assert SCALE.gain(1.0) == 0
    assert SCALE.gain(3.0) == 100
    assert SCALE.gain(2.33) == round(66.5)
    assert SCALE.share(2.5) == 0.75


@pytest.mark.parametrize("score", [0.99, 3.01, math.nan, math.inf])
def test_a_score_off_the_scale_is_named(score):
    """A label that the scale does not hold is refused, with the place it came from."""
    with pytest.raises(InputError, match=r"query q1: .* off the scale 1\.\.3"):
        SCALE.gain(score, "query q1")


@pytest.mark.parametrize(("floor", "top"), [(3, 1), (1, 1), (math.nan, 1), (0, math.inf)])
def test_a_scale_has_a_floor_below_its_top(floor, top):
    """A scale upside down, empty or endless is refused."""
    with pytest.raises(ConfigError, match="floor must be below top"):
        Scale(floor, top)


def test_ndcg_of_the_ideal_order_is_1():
    """Best first is 1."""
    run = {"q1": {"a": 9.0, "b": 8.0, "c": 7.0}}
    assert ndcg(JUDGED, run, SCALE)["q1"] == pytest.approx(1.0)


def test_ndcg_has_linear_gain_and_a_log2_discount():
    """Worst first: (0 + 50 / log2 3 + 100 / log2 4) / 131.546 = 81.546 / 131.546."""
    run = {"q1": {"a": 1.0, "b": 2.0, "c": 3.0}}
    assert ndcg(JUDGED, run, SCALE)["q1"] == pytest.approx(81.5465 / 131.5465, abs=1e-6)


def test_ndcg_counts_an_unjudged_document_as_nothing():
    """An unjudged document on top moves all others down a rank."""
    run = {"q1": {"new": 9.0, "a": 8.0, "b": 7.0, "c": 6.0}}
    expected = (100 / math.log2(3) + 50 / math.log2(4)) / (100 + 50 / math.log2(3))
    assert ndcg(JUDGED, run, SCALE)["q1"] == pytest.approx(expected)


def test_ndcg_reads_ten_ranks():
    """What stands at rank 11 is not seen."""
    judged = {"q1": {f"d{number:02}": 1.0 for number in range(10)} | {"last": 3.0}}
    run = {"q1": {name: -float(rank) for rank, name in enumerate(judged["q1"])}}
    assert ndcg(judged, run, SCALE)["q1"] == 0.0
    assert ndcg(judged, run, SCALE, cutoff=11)["q1"] == pytest.approx(1 / math.log2(12))


def test_ndcg_breaks_ties_by_document_id():
    """With equal scores a stands before b before c, whatever order they came in."""
    run = {"q1": {"c": 1.0, "a": 1.0, "b": 1.0}}
    assert ranked(run["q1"]) == ["a", "b", "c"]
    assert ndcg(JUDGED, run, SCALE)["q1"] == pytest.approx(1.0)


def test_ndcg_tells_scores_apart_that_32_bits_cannot():
    """1 + 1e-9 is above 1: the library below reads 32 bits, ours are 64."""
    run = {"q1": {"a": 1.0 + 2e-9, "b": 1.0 + 1e-9, "c": 1.0}}
    assert ndcg(JUDGED, run, SCALE)["q1"] == pytest.approx(1.0)
    reverse = {"q1": {"a": 1.0, "b": 1.0 + 1e-9, "c": 1.0 + 2e-9}}
    assert ndcg(JUDGED, reverse, SCALE)["q1"] < 0.7


def test_a_query_that_the_run_missed_counts_0_in_every_measure():
    """A ranker gains nothing by staying silent."""
    judged = {**JUDGED, "q2": {"a": 1.0, "b": 3.0}}
    run = {"q1": {"a": 3.0, "b": 2.0, "c": 1.0}}
    evaluation = evaluate_judged_list(judged, run, SCALE)
    for measure in ("nDCG@10", "pairwise accuracy", "Spearman"):
        assert evaluation.values[measure] == pytest.approx({"q1": 1.0, "q2": 0.0})
        assert evaluation.mean(measure).mean == pytest.approx(0.5)


def test_pairwise_accuracy_counts_pairs_with_different_grades_and_ties_half():
    """Grades 3 2 2 1: five pairs differ.

    Scores 5 5 1 3: a-b tie (half), a-c right, a-d right, b-d right, c-d wrong: 3.5 of 5.
    """
    judged = {"q1": {"a": 3.0, "b": 2.0, "c": 2.0, "d": 1.0}}
    run = {"q1": {"a": 5.0, "b": 5.0, "c": 1.0, "d": 3.0}}
    assert pairwise_accuracy(judged, run)["q1"] == pytest.approx(3.5 / 5)


def test_pairwise_accuracy_puts_a_missing_document_last():
    """Without its best document a run has that one's pairs wrong; two missing ones are a tie."""
    assert pairwise_accuracy(JUDGED, {"q1": {"b": 2.0, "c": 1.0}})["q1"] == pytest.approx(1 / 3)
    assert pairwise_accuracy(JUDGED, {"q1": {"a": 1.0}})["q1"] == pytest.approx(2.5 / 3)


def test_spearman_shares_ranks_among_ties():
    """Grades 1 2 2 3 have ranks 1 2.5 2.5 4, scores 1 2 3 4 ranks 1 2 3 4.

    Covariance sum 4.5, variances 4.5 and 5: rho = 4.5 / sqrt(22.5) = .948683.
    """
    judged = {"q1": {"a": 1.0, "b": 2.0, "c": 2.0, "d": 3.0}}
    run = {"q1": {"a": 1.0, "b": 2.0, "c": 3.0, "d": 4.0}}
    assert spearman(judged, run)["q1"] == pytest.approx(0.9486833)


def test_spearman_of_one_score_throughout_is_0():
    """A ranker that tells nothing apart has no correlation, not a NaN."""
    assert spearman(JUDGED, {"q1": {"a": 1.0, "b": 1.0, "c": 1.0}})["q1"] == 0.0


def test_queries_of_one_grade_are_left_out():
    """Where any order is perfect, a measure says nothing about the ranker."""
    judged = {**JUDGED, "same": {"a": 2.0, "b": 2.0}}
    assert list(mixed(judged)) == ["q1"]
    assert pairwise_accuracy(judged, {"same": {"a": 1.0, "b": 0.0}}).keys() == {"q1"}
    assert spearman(judged, {"same": {"a": 1.0, "b": 0.0}}).keys() == {"q1"}


def test_the_judged_list_protocol_refuses_an_unjudged_document():
    """The two protocols cannot be mixed up: a funnel's run is not a judged list."""
    run = {"q1": {"a": 2.0, "stranger": 1.0}}
    with pytest.raises(InputError, match="'stranger' is not judged"):
        evaluate_judged_list(JUDGED, run, SCALE)


def test_the_judged_list_protocol_refuses_a_list_that_is_not_whole():
    """Without its worst document a list would measure better than it is."""
    with pytest.raises(InputError, match="query q1: 'c' is judged and not in the run"):
        evaluate_judged_list(JUDGED, {"q1": {"a": 2.0, "b": 1.0}}, SCALE)


def test_the_funnel_protocol_says_how_much_of_the_top_was_judged():
    """Two of the four documents returned are judged: Judged@10 is a half."""
    run = {"q1": {"a": 4.0, "x": 3.0, "b": 2.0, "y": 1.0}}
    evaluation = evaluate_funnel(JUDGED, run, SCALE)
    assert evaluation.protocol == "funnel"
    assert evaluation.values["Judged@10"]["q1"] == pytest.approx(0.5)
    assert evaluation.values["nDCG@10"]["q1"] == pytest.approx((100 + 25) / 131.5465, abs=1e-6)
