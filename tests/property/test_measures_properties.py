"""What holds of measures for every run and judgment."""

import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rerank_core.measures import (
    Scale,
    mixed,
    ndcg,
    paired_test,
    pairwise_accuracy,
    ranked,
    read_run,
    spearman,
    write_run,
)

SCALE = Scale(0.0, 3.0)
NAMES = st.sampled_from([f"d{number}" for number in range(12)])
GRADES = st.dictionaries(NAMES, st.sampled_from([0.0, 1.0, 1.33, 2.0, 3.0]), min_size=2)
SCORES = st.floats(-1e6, 1e6, allow_nan=False)


@st.composite
def judged_runs(draw):
    """Mixed grades of one query, and a score for each of its documents."""
    grades = draw(GRADES.filter(lambda one: len(set(one.values())) > 1))
    return {"q": grades}, {"q": {name: draw(SCORES) for name in grades}}


@given(judged_runs())
def test_measures_stay_in_their_bounds(case):
    """0..1 for nDCG and pairwise accuracy, -1..1 for Spearman."""
    judged, run = case
    assert 0 <= ndcg(judged, run, SCALE)["q"] <= 1 + 1e-9
    assert 0 <= pairwise_accuracy(judged, run)["q"] <= 1
    assert -1 - 1e-9 <= spearman(judged, run)["q"] <= 1 + 1e-9


@given(judged_runs())
def test_the_judges_own_order_is_the_best_there_is(case):
    """Scoring by the grades gives 1 in all three."""
    judged, _ = case
    assert ndcg(judged, judged, SCALE)["q"] == pytest.approx(1)
    assert pairwise_accuracy(judged, judged)["q"] == 1
    assert spearman(judged, judged)["q"] == pytest.approx(1)


@given(judged_runs())
def test_the_opposite_order_is_the_complement(case):
    """Negated scores turn each right pair into a wrong one, ties stay half; rho changes sign."""
    judged, run = case
    opposite = {"q": {name: -score for name, score in run["q"].items()}}
    both = pairwise_accuracy(judged, run)["q"] + pairwise_accuracy(judged, opposite)["q"]
    assert both == pytest.approx(1)
    assert spearman(judged, run)["q"] == pytest.approx(-spearman(judged, opposite)["q"])


@given(judged_runs())
def test_only_the_order_of_scores_counts(case):
    """Ranks in the place of scores change nothing: no measure sees how far apart scores are."""
    judged, run = case
    values = sorted(set(run["q"].values()))
    ranks = {"q": {name: float(values.index(score)) for name, score in run["q"].items()}}
    assert ndcg(judged, ranks, SCALE) == ndcg(judged, run, SCALE)
    assert pairwise_accuracy(judged, ranks) == pairwise_accuracy(judged, run)
    assert spearman(judged, ranks) == pytest.approx(spearman(judged, run))


@given(st.dictionaries(NAMES, SCORES))
def test_ranking_is_a_permutation_and_ignores_the_order_of_insertion(scores):
    """Every document once; the same list from the same scores in any order."""
    order = ranked(scores)
    assert sorted(order) == sorted(scores)
    assert order == ranked(dict(reversed(scores.items())))


@given(st.dictionaries(st.sampled_from(["q1", "q2"]), st.dictionaries(NAMES, SCORES, min_size=1)))
def test_a_run_file_gives_back_the_run(run):
    """Every score to its last bit."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "run.txt"
        write_run(run, path, tag="t")
        assert read_run(path) == run


@given(st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), min_size=1, max_size=8))
def test_a_paired_test_is_symmetric_and_its_interval_lies_within_the_data(pairs):
    """Swapping the sides turns the difference round and leaves p; p is in (0, 1]."""
    ours = {str(number): one for number, (one, _) in enumerate(pairs)}
    theirs = {str(number): other for number, (_, other) in enumerate(pairs)}
    test = paired_test(ours, theirs, flips=200)
    back = paired_test(theirs, ours, flips=200)
    assert test.p_value == back.p_value
    assert 0 < test.p_value <= 1
    assert test.difference.mean == pytest.approx(-back.difference.mean)
    differences = [one - other for one, other in pairs]
    assert min(differences) - 1e-9 <= test.difference.low
    assert test.difference.high <= max(differences) + 1e-9


@given(st.dictionaries(st.sampled_from("abc"), GRADES))
def test_mixed_keeps_just_the_queries_that_can_tell_rankers_apart(judged):
    """A query is kept where its grades differ, whole and unchanged."""
    kept = mixed(judged)
    assert all(judged[query] == grades for query, grades in kept.items())
    assert all(len(set(judged[query].values())) == 1 for query in judged.keys() - kept.keys())
