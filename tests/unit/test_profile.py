"""What a profile may not say, found when it is read and not when it is searched."""

from __future__ import annotations

from pathlib import Path

import pytest

from rerank_core.cluster.profile import FacetRule, FilterRule, Profile, Rule
from rerank_core.errors import ConfigError


@pytest.mark.parametrize("alias", ["", "Pro*,other", "products,other", "_all", "Products"])
def test_an_alias_that_could_be_none_is_refused(alias: str) -> None:
    """By the rule that the index builder has for it."""
    with pytest.raises(ConfigError, match=r"alias .*: 1 to 200 lower-case letters"):
        Profile(alias)


def test_a_filter_or_facet_that_cannot_be_is_refused() -> None:
    """The cluster would answer every search by an error; all are named at once, by their names."""
    with pytest.raises(ConfigError) as refused:
        Profile(
            "products",
            filters={"brand": FilterRule("")},
            facets={"colour": FacetRule(""), "size": FacetRule("size", size=0)},
        )
    for fault in (
        "filters.brand: field is empty; name a field of the index",
        "facets.colour: field is empty; name a field of the index",
        "facets.size: size must be 1 to 1000, it is 0",
    ):
        assert fault in str(refused.value)


def test_all_faults_of_a_profile_are_named_at_once() -> None:
    """So that a file is mended in one go."""
    with pytest.raises(ConfigError) as refused:
        Profile(
            "Products",
            weights_file=Path("no-such.toml"),
            filters={"brand": FilterRule("")},
            depth=10,
            page_size=2,
            legs={"lexical": 1.0},
            templates={"vector": "vector"},
            parameters={"size": 3},
            rerank_depth=20,
            budget_ms=0,
            blend=1.5,
            rules=(Rule(), Rule(pinned=("a", "b", "c")), Rule(pinned=("a",), buried=("a",))),
        )
    for fault in (
        "alias 'Products': 1 to 200 lower-case letters",
        "weights_file no-such.toml: No such file",
        "filters.brand: field is empty",
        "templates.vector: the profile has no such leg",
        "parameter size is filled in by every search",
        "rerank_depth must be 0 to depth 10, it is 20",
        "budget_ms must be above 0",
        "blend must be 0 to 1",
        "rules[0]: pins and buries nothing",
        "rules[1]: pins more than a page of 2",
        "rules[2]: a is pinned and buried",
    ):
        assert fault in str(refused.value)
