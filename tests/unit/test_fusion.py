"""Reciprocal rank fusion against numbers worked out by hand."""

import pytest

from rerank_core.cluster.fusion import LegRank, reciprocal_rank_fusion, weighted_sum


def test_score_is_the_weighted_sum_of_inverse_ranks() -> None:
    """a: 1/61 + 2/62, b: 1/62, c: 2/61; c leads since the vector leg counts double."""
    fused = reciprocal_rank_fusion(
        {"lexical": [("a", 9.0), ("b", 8.0)], "vector": [("c", 0.9), ("a", 0.8)]},
        {"lexical": 1.0, "vector": 2.0},
    )
    assert [product.id for product in fused] == ["a", "c", "b"]
    assert fused[0].score == pytest.approx(1 / 61 + 2 / 62)
    assert fused[1].score == pytest.approx(2 / 61)
    assert fused[2].score == pytest.approx(1 / 62)


def test_a_product_tells_how_each_leg_placed_it() -> None:
    """Ranks begin at 1 and scores are the legs' own."""
    [fused] = reciprocal_rank_fusion({"lexical": [("a", 7.5)]}, {"lexical": 1.0})
    assert fused.legs == (LegRank("lexical", 1, 7.5),)


def test_ties_are_broken_by_id() -> None:
    """Equal sums come in the order of their ids, whatever order the legs are in."""
    legs = {"vector": [("b", 1.0)], "lexical": [("a", 1.0)]}
    weights = {"lexical": 1.0, "vector": 1.0}
    assert [product.id for product in reciprocal_rank_fusion(legs, weights)] == ["a", "b"]


def test_no_hits_fuse_to_nothing() -> None:
    """Legs that found nothing make an empty list, not an error."""
    assert reciprocal_rank_fusion({"lexical": [], "vector": []}, {"lexical": 1, "vector": 1}) == []


def test_weighted_scores_on_0_to_1_by_hand() -> None:
    """Lexical 10, 6, 2 become 1, .5, .001; vector .9, .8 become 1, .001.

    With .4 and .6: b .4 * .5 + .6 * 1 = .8, a .4, c .4 * .001, d .6 * .001.
    """
    fused = weighted_sum(
        {
            "lexical": [("a", 10.0), ("b", 6.0), ("c", 2.0)],
            "vector": [("b", 0.9), ("d", 0.8)],
        },
        {"lexical": 0.4, "vector": 0.6},
    )
    assert [product.id for product in fused] == ["b", "a", "d", "c"]
    assert [product.score for product in fused] == pytest.approx([0.8, 0.4, 0.0006, 0.0004])


def test_equal_scores_are_all_the_best() -> None:
    """A leg that found one product, or tells none apart, gives each its whole weight."""
    fused = weighted_sum({"lexical": [("a", 3.0), ("b", 3.0)]}, {"lexical": 0.5})
    assert [product.score for product in fused] == [0.5, 0.5]
