"""What `benchmarks quality` says of a run, by numbers worked out by hand."""

from __future__ import annotations

from dataclasses import replace
from math import log2
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.quality.collection import Collection, read_collection
from benchmarks.quality.comparisons import holm
from benchmarks.quality.figures import (
    CEILING,
    CONDENSED,
    JUDGED,
    NDCG,
    RECALL,
    measure,
    measure_candidates,
)
from benchmarks.quality.plan import Plan
from benchmarks.quality.runs import cut, hybrid, reranked
from rerank_core.errors import ConfigError, InputError
from rerank_core.measures import Scale, ranked

# Grades 0 to 3; "d" was never judged.
COLLECTION = Collection(
    queries={"q": "oak chair"},
    judgments={"q": {"a": 3.0, "b": 0.0, "c": 2.0, "lost": 3.0}},
    scale=Scale(0, 3),
    products={key: {"title": key} for key in "abcd"},
    left_out=0,
)
RUN = {"q": {"d": 9.0, "b": 8.0, "c": 7.0, "a": 6.0}}
IDEAL = 1 + 1 / log2(3) + 0.67 / 2  # gains in whole percent: 2 of 3 is .67


def test_unjudged_documents_are_worth_nothing_or_left_out_and_are_counted():
    """Worth nothing: c at 3, a at 4. Left out: one place higher each. Three of four are judged."""
    values = measure(RUN, COLLECTION)
    assert values[NDCG]["q"] == pytest.approx((0.67 / log2(4) + 1 / log2(5)) / IDEAL)
    assert values[CONDENSED]["q"] == pytest.approx((0.67 / log2(3) + 1 / log2(4)) / IDEAL)
    assert values[JUDGED]["q"] == 0.75


def test_candidates_bound_what_a_reranker_can_reach():
    """Of three relevant products c is among the best three, c and a among four."""
    three, four = (measure_candidates(RUN, COLLECTION, depth, None) for depth in (3, 4))
    assert three[RECALL]["q"] == pytest.approx(1 / 3)
    assert four[RECALL]["q"] == pytest.approx(2 / 3)
    assert three[CEILING]["q"] == pytest.approx(0.67 / IDEAL)
    assert four[CEILING]["q"] == pytest.approx((1 + 0.67 / log2(3)) / IDEAL)
    assert measure_candidates(RUN, COLLECTION, 4, 3.0)[RECALL]["q"] == pytest.approx(1 / 2)


def test_what_is_below_the_depth_stays_in_its_order():
    """Two are reranked; equal scores stay as the first stage had them, as in the sidecar."""
    scores = {"q": {"d": 0.0, "b": 1.0, "c": 9.0, "a": 9.0}}
    assert ranked(reranked(RUN, scores, 2)["q"]) == ["b", "d", "c", "a"]
    assert ranked(reranked(RUN, scores, 4)["q"]) == ["c", "a", "b", "d"]
    assert list(cut(RUN, 2)["q"]) == ["d", "b"]


def test_the_first_stages_share_is_that_of_a_profile():
    """Both on 0 to 1: run 1, .75, 0; logits 0, .25, 1. Half and half .5, .5, .5: as reranked."""
    run = {"q": {"a": 5.0, "b": 4.0, "c": 1.0, "d": 0.5}}
    scores = {"q": {"a": 10.0, "b": 12.0, "c": 18.0}}
    assert ranked(reranked(run, scores, 3)["q"]) == ["c", "b", "a", "d"]
    assert ranked(reranked(run, scores, 3, 0.5)["q"]) == ["c", "b", "a", "d"]
    assert ranked(reranked(run, scores, 3, 0.6)["q"]) == ["a", "b", "c", "d"]


def test_the_hybrid_is_the_sidecars_fusion():
    """Half and half, by reciprocal ranks: first in both goes first, found by one leg goes last."""
    legs = {
        "lexical": {"q": {"a": 9.0, "b": 8.0}},
        "vector": {"q": {"a": 0.9, "c": 0.8, "b": 0.7}},
    }
    fused = hybrid(legs, Plan(Path()))["q"]
    assert ranked(fused) == ["a", "b", "c"]
    assert fused["b"] == pytest.approx(0.5 / 62 + 0.5 / 63)
    assert ranked(hybrid(legs, Plan(Path(), lexical_weight=0.0))["q"]) == ["a", "c", "b"]


def test_holm_multiplies_the_smallest_most():
    """.01 x 3; .02 x 2; .04 x 1 raised to what stands before it; in the caller's order."""
    assert holm([0.04, 0.01, 0.02]) == pytest.approx([0.04, 0.03, 0.04])
    assert holm([0.6, 0.9]) == [1.0, 1.0]


@given(st.lists(st.floats(0, 1), max_size=20))
def test_holm_never_makes_a_difference_surer(p_values):
    """And keeps their order."""
    corrected = holm(p_values)
    assert all(after >= before for after, before in zip(corrected, p_values, strict=True))
    assert all(after <= 1 for after in corrected)
    order = sorted(range(len(p_values)), key=lambda place: p_values[place])
    assert [corrected[place] for place in order] == sorted(corrected)


def test_queries_that_cannot_tell_systems_apart_are_left_out_and_counted(tmp_path):
    """Every order of equally good products is perfect."""
    (tmp_path / "corpus.jsonl").write_text('{"_id": "p", "title": "x"}\n')
    rows = "".join(f'{{"_id": "{key}", "text": "{key}"}}\n' for key in ("even", "odd"))
    (tmp_path / "queries.jsonl").write_text(rows)
    qrels = tmp_path / "qrels" / "dev.tsv"
    qrels.parent.mkdir()
    head = "query-id\tcorpus-id\tscore\n"
    qrels.write_text(head + "even\tp\t2\neven\tr\t2\nodd\tp\t3\nodd\tr\t1\n")
    found = read_collection(tmp_path, "dev")
    assert (list(found.queries), found.left_out) == (["odd"], 1)
    assert (found.scale, found.relevant(None), found.relevant(3.0)) == (Scale(0, 3), 1.5, 3.0)
    qrels.write_text(head + "even\tp\t2\n")
    with pytest.raises(InputError, match="no query has products of two different grades"):
        read_collection(tmp_path, "dev")
    qrels.write_text(head + "else\tp\t2\nelse\tr\t1\n")
    with pytest.raises(InputError, match="judges query 'else', which"):
        read_collection(tmp_path, "dev")


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"depth": 30}, "must be one of the sweep"),
        ({"depth": 5, "depths": (5,)}, "at least 10"),
        ({"lexical_weight": 1.5}, "must be 0 to 1"),
    ],
)
def test_a_plan_that_makes_no_sense_is_refused(changes, problem):
    """Before anything is built."""
    with pytest.raises(ConfigError, match=problem):
        replace(Plan(Path()), **changes)
