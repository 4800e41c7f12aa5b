"""Reciprocal rank fusion against numbers worked out by hand."""

import pytest

from rerank_core.cluster.fusion import LegRank, reciprocal_rank_fusion


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
