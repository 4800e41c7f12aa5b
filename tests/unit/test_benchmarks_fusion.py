"""Weights of the legs: chosen on some queries, measured on others, kept in a file."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.fusion.choice import Judged, Setting, choose, fused, settings
from benchmarks.fusion.command import to_toml
from rerank_core.cluster.profile import Profile
from rerank_core.cluster.weights import ChosenWeights, read_weights
from rerank_core.errors import ConfigError, InputError
from rerank_core.measures import Scale

QUERIES = [f"q{number}" for number in range(10)]
JUDGMENTS = {query: {"good": 3.0, "bad": 0.0} for query in QUERIES}
GOOD_FIRST, BAD_FIRST = {"good": 2.0, "bad": 1.0}, {"bad": 2.0, "good": 1.0}
RECORD = ChosenWeights(
    method="minmax",
    weights={"lexical": 0.3, "vector": 0.7},
    data='a "shop"',
    split="dev",
    queries=10,
    index="products",
    templates={"lexical": "lexical@1"},
    encoder_hash="e" * 64,
    ndcg=0.7,
    held_out=0.69,
    held_out_low=0.6,
    held_out_high=0.75,
    better_leg=0.65,
    chosen_at="2026-11-27T00:00:00+00:00",
)


def test_the_better_leg_gets_the_weight() -> None:
    """The vector leg is always right and the lexical one always wrong: .4 against .6 is enough.

    nDCG@10 is 1 with the good product first, 1 / log2(3) = .6309 with it second.
    """
    legs = {
        "lexical": dict.fromkeys(QUERIES, BAD_FIRST),
        "vector": dict.fromkeys(QUERIES, GOOD_FIRST),
    }

    choice = choose([Judged("shop", legs, JUDGMENTS, Scale(0, 3))])

    assert choice.setting == Setting("rrf", 0.4)
    assert choice.legs == pytest.approx({"lexical": 0.6309, "vector": 1.0}, abs=1e-4)
    assert choice.ndcg == 1
    assert choice.held_out.mean == 1
    assert set(choice.folds) == {Setting("rrf", 0.4)}


def test_legs_of_equal_worth_weigh_the_same() -> None:
    """A tie goes to equal weights and to ranks, whatever order the grid has."""
    legs = dict.fromkeys(("lexical", "vector"), dict.fromkeys(QUERIES, GOOD_FIRST))
    assert choose([Judged("shop", legs, JUDGMENTS, Scale(0, 3))]).setting == Setting("rrf", 0.5)


def test_a_held_out_query_has_no_part_in_its_own_setting() -> None:
    """Of two queries each wants the other leg: by the other's choice both are wrong, .6309."""
    judgments = {query: JUDGMENTS[query] for query in ("q0", "q1")}
    legs = {
        "lexical": {"q0": GOOD_FIRST, "q1": BAD_FIRST},
        "vector": {"q0": BAD_FIRST, "q1": GOOD_FIRST},
    }
    choice = choose([Judged("shop", legs, judgments, Scale(0, 3))], folds=2)
    assert choice.held_out.mean == pytest.approx(0.6309, abs=1e-4)


def test_each_of_several_sets_counts_the_same() -> None:
    """Ten queries that want the vector leg and five that want the lexical one.

    By queries ten would win; by sets .4 and .6 are both worth (1 + .6309) / 2. With equal weights
    the products tie, and bad stands before good by its id.
    """
    few = {query: JUDGMENTS[query] for query in QUERIES[:5]}
    vector_right = Judged(
        "many",
        {
            "lexical": dict.fromkeys(QUERIES, BAD_FIRST),
            "vector": dict.fromkeys(QUERIES, GOOD_FIRST),
        },
        JUDGMENTS,
        Scale(0, 3),
    )
    lexical_right = Judged(
        "few",
        {"lexical": dict.fromkeys(few, GOOD_FIRST), "vector": dict.fromkeys(few, BAD_FIRST)},
        few,
        Scale(0, 3),
    )

    choice = choose([vector_right, lexical_right], folds=5, repeats=2)

    worth = {setting.lexical: value for setting, value in choice.grid.items()}  # equal for both
    assert (worth[0.4], worth[0.5], worth[0.6]) == pytest.approx((0.8155, 0.6309, 0.8155), abs=1e-4)
    assert choice.legs == pytest.approx({"lexical": 0.8155, "vector": 0.8155}, abs=1e-4)
    assert len(choice.folds) == 10
    assert [(one.name, one.queries) for one in choice.sets] == [("many", 10), ("few", 5)]
    assert choose([vector_right]).setting == Setting("rrf", 0.4)
    assert choose([lexical_right]).setting == Setting("rrf", 0.6)


def test_gains_are_of_held_out_queries() -> None:
    """The vector leg is right: 1 over .6309 half and half, nothing over the leg itself."""
    legs = {
        "lexical": dict.fromkeys(QUERIES, BAD_FIRST),
        "vector": dict.fromkeys(QUERIES, GOOD_FIRST),
    }
    [worth] = choose([Judged("shop", legs, JUDGMENTS, Scale(0, 3))]).sets

    assert worth.legs["lexical"].mean == pytest.approx(0.6309, abs=1e-4)
    assert worth.held_out.mean == 1
    assert worth.over_better_leg.mean == 0
    assert worth.over_equal.mean == pytest.approx(1 - worth.equal.mean)
    assert worth.equal.mean == pytest.approx(0.6309, abs=1e-4)


def test_fewer_queries_than_folds_are_refused() -> None:
    """There would be nothing to choose on."""
    with pytest.raises(InputError, match="queries of shop: 1 are judged, 5 folds need more"):
        choose([Judged("shop", {}, {"q0": {"a": 1.0}}, Scale(0, 3))])


def test_the_grid_is_fused_by_the_sidecars_code() -> None:
    """Weights sum to 1; a: .9/61 + .1/62, b: .9/62 + .1/61."""
    assert all(sum(setting.weights.values()) == pytest.approx(1) for setting in settings())
    legs = {"lexical": {"q": {"a": 2.0, "b": 1.0}}, "vector": {"q": {"b": 2.0, "a": 1.0}}}
    assert fused(legs, Setting("rrf", 0.9))["q"] == pytest.approx(
        {"a": 0.9 / 61 + 0.1 / 62, "b": 0.9 / 62 + 0.1 / 61}
    )


def test_the_record_reads_back_and_a_profile_goes_by_it(tmp_path: Path) -> None:
    """Quotes in a name survive; legs, weights and method are the record's."""
    file = tmp_path / "weights.toml"
    file.write_text(to_toml(RECORD))

    assert read_weights(file) == RECORD
    profile = Profile("products", weights_file=file)
    assert (profile.legs, profile.fusion) == (RECORD.weights, "minmax")


def test_a_record_that_is_not_there_says_how_to_make_one(tmp_path: Path) -> None:
    """With the command; a malformed one names its fault."""
    with pytest.raises(ConfigError, match="choose weights with python -m benchmarks fusion"):
        Profile("products", weights_file=tmp_path / "absent.toml")
    file = tmp_path / "weights.toml"
    file.write_text('method = "sum"')
    with pytest.raises(ConfigError, match=r"weights\.toml: method"):
        read_weights(file)
