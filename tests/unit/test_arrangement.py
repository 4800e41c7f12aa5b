"""Blend, rules and collapse, worked out by hand; and which stage moved a product."""

from __future__ import annotations

from typing import Any

from rerank_core.cluster.fusion import Fused, LegRank
from rerank_core.cluster.profile import Profile, Rule
from sidecar.arrangement import Arranged, Place, arrange, pinned_by
from sidecar.ranking import Candidate, Placed, Score

FUSED = [
    Fused("a", 0.04, (LegRank("lexical", 1, 9.0),)),
    Fused("b", 0.03, (LegRank("lexical", 2, 8.0),)),
    Fused("c", 0.02, (LegRank("vector", 1, 0.9),)),
]


def placed(**logits: float) -> list[Placed]:
    """Scored products by falling logit, then the others as fused."""
    by_id = {product.id: product for product in FUSED}
    order = sorted(logits, key=lambda key: -logits[key])
    order += [product.id for product in FUSED if product.id not in logits]
    return [
        Placed(
            Candidate(key, FUSED.index(by_id[key]), FUSED.index(by_id[key]) + 1),
            rank,
            Score(logits[key], None) if key in logits else None,
        )
        for rank, key in enumerate(order, start=1)
    ]


def arranged(
    profile: Profile, sources: dict[str, dict[str, Any]] | None = None, **logits: float
) -> list[Arranged]:
    there = {product.id: {} for product in FUSED} if sources is None else sources
    return arrange(FUSED, placed(**logits), profile, "oak", there)


def keys(hits: list[Arranged]) -> list[str]:
    return [hit.id for hit in hits]


def test_without_scores_the_fused_order_stands() -> None:
    """And the stage that placed each is the fusion."""
    hits = arranged(Profile("shop"))
    assert keys(hits) == ["a", "b", "c"]
    assert [hit.placed_by for hit in hits] == ["fuse"] * 3
    assert hits[0].places == (Place("fuse", 1, 0.04),)


def test_the_rerank_moves_and_says_so() -> None:
    """C goes from 3 to 1, a from 1 to 2, b from 2 to 3; b was not scored."""
    hits = arranged(Profile("shop"), a=1.0, c=2.0)
    assert keys(hits) == ["c", "a", "b"]
    assert hits[0].places == (Place("fuse", 3, 0.02), Place("rerank", 1, 2.0))
    assert [hit.placed_by for hit in hits] == ["rerank"] * 3
    assert hits[2].places[-1] == Place("rerank", 3, None)


def test_a_product_that_the_rerank_left_in_place_is_the_fusions() -> None:
    """Same order before and after."""
    hits = arranged(Profile("shop"), a=3.0, b=2.0, c=1.0)
    assert [hit.placed_by for hit in hits] == ["fuse"] * 3


def test_the_blend_is_the_weighted_sum_on_0_to_1() -> None:
    """First stage 1, .5, 0; rerank 0, .75, 1; with .5: a .5, b .625, c .5, and b leads.

    Of a and c, which are even, the one stands first that the rerank had first.
    """
    hits = arranged(Profile("shop", blend=0.5), a=0.0, b=3.0, c=4.0)
    assert keys(hits) == ["b", "c", "a"]
    assert [hit.places[-1] for hit in hits] == [
        Place("blend", 1, 0.625),
        Place("blend", 2, 0.5),
        Place("blend", 3, 0.5),
    ]


def test_a_whole_blend_is_the_first_stages_order() -> None:
    """Of what was reranked; what was not follows."""
    assert keys(arranged(Profile("shop", blend=1.0), b=1.0, c=2.0)) == ["b", "c", "a"]


def test_pinned_stand_first_and_buried_last() -> None:
    """In the rule's order; a product that no leg found stands, one that is not there does not."""
    rule = Rule(pinned=("x", "gone", "b"), buried=("a",))
    sources: dict[str, dict[str, Any]] = {"a": {}, "b": {}, "c": {}, "x": {}}
    hits = arranged(Profile("shop", rules=(rule,)), sources)
    assert keys(hits) == ["x", "b", "c", "a"]
    assert [hit.rules for hit in hits] == [
        ("pinned by rules[0]",),
        ("pinned by rules[0]",),
        (),
        ("buried by rules[0]",),
    ]
    assert [hit.placed_by for hit in hits] == ["pin", "pin", "pin", "pin"]
    assert (hits[0].first_stage_rank, hits[0].legs) == (0, ())


def test_a_rule_is_for_its_queries_whatever_their_case() -> None:
    """Case and white space do not matter, other words do."""
    rule = Rule(queries=("Oak  Table",), pinned=("a",))
    profile = Profile("shop", rules=(rule,))
    assert pinned_by(profile, " oak table ") == ["a"]
    assert pinned_by(profile, "oak") == []


def test_variants_collapse_to_the_best() -> None:
    """A and c share a parent; b has none and stands for itself."""
    sources: dict[str, dict[str, Any]] = {"a": {"parent": "p"}, "b": {}, "c": {"parent": "p"}}
    hits = arranged(Profile("shop", collapse="parent"), sources, a=1.0, b=2.0, c=3.0)
    assert keys(hits) == ["c", "b"]
    assert hits[0].rules == ("stands for 1 more of its parent",)
    assert hits[1].places[-1] == Place("collapse", 2, None)
