"""A search is held against its profile before anything is sent."""

import pytest

from rerank_core.cluster.profile import FacetRule, FilterRule, Profile
from rerank_core.errors import ConfigError, InputError
from sidecar.search_task import (
    FilterTask,
    SearchTask,
    facet_clauses,
    filter_clauses,
    page_size_of,
)

PROFILE = Profile(
    alias="products",
    depth=50,
    page_size=5,
    filters={
        "brand": FilterRule("brand.keyword"),
        "price": FilterRule("price_cents", kind="range"),
    },
    facets={"color": FacetRule("color.keyword", size=3)},
)


def test_filters_become_clauses_on_the_profile_s_fields() -> None:
    """Callers say brand; the index field behind it is the profile's matter."""
    filters = [FilterTask("brand", values=("acme", "zeta")), FilterTask("price", at_least=100.0)]
    assert filter_clauses(filters, PROFILE) == [
        {"terms": {"brand.keyword": ["acme", "zeta"]}},
        {"range": {"price_cents": {"gte": 100.0}}},
    ]


def test_a_range_takes_its_lower_end_in_and_its_upper_out() -> None:
    """At least 100 and below 200: gte and lt."""
    [clause] = filter_clauses([FilterTask("price", at_least=100.0, below=200.0)], PROFILE)
    assert clause == {"range": {"price_cents": {"gte": 100.0, "lt": 200.0}}}


def test_facets_become_aggregations_of_the_profile_s_size() -> None:
    """The caller names the facet, nothing more."""
    assert facet_clauses(["color"], PROFILE) == {
        "color": {"terms": {"field": "color.keyword", "size": 3}}
    }


@pytest.mark.parametrize(
    ("item", "field"),
    [
        (FilterTask("secret", values=("x",)), "filters[0].field"),
        (FilterTask("brand", at_least=1.0), "filters[0]"),
        (FilterTask("price", values=("1",)), "filters[0]"),
    ],
)
def test_a_filter_the_profile_does_not_allow_is_named(item: FilterTask, field: str) -> None:
    """Unknown names and conditions of the wrong kind both say where they stand."""
    with pytest.raises(InputError) as refused:
        filter_clauses([item], PROFILE)
    assert refused.value.field == field


def test_an_unknown_facet_says_which_there_are() -> None:
    """The message lists the profile's facets."""
    with pytest.raises(InputError, match="it allows: color"):
        facet_clauses(["color", "size"], PROFILE)


def test_a_page_is_the_profile_s_size_and_never_deeper_than_its_depth() -> None:
    """0 means the profile's 5; 50 is the depth; 51 is refused."""
    assert page_size_of(SearchTask("products", "drill"), PROFILE) == 5
    assert page_size_of(SearchTask("products", "drill", page_size=50), PROFILE) == 50
    with pytest.raises(InputError, match="page_size"):
        page_size_of(SearchTask("products", "drill", page_size=51), PROFILE)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"alias": ""}, "alias"),
        ({"depth": 0}, "depth"),
        ({"depth": 1001}, "depth"),
        ({"page_size": 101}, "page_size"),
        ({"legs": {"vector": 1.0}}, "lexical"),
        ({"legs": {"lexical": 0.0}}, "weight"),
        ({"legs": {"lexical": float("nan")}}, "weight"),
    ],
)
def test_a_profile_that_cannot_work_is_refused_with_the_setting(
    settings: dict[str, object], message: str
) -> None:
    """Each fault names the setting."""
    with pytest.raises(ConfigError, match=message):
        Profile(**({"alias": "products"} | settings))  # type: ignore[arg-type]
