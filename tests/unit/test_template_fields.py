"""Which fields of an index templates read."""

from __future__ import annotations

from typing import Any

import pytest

from index_builder.gates.fields import counts_nothing, lacking, undeclared
from rerank_core.cluster.templates import Template, load_templates
from rerank_core.cluster.templates.fields import absent, fields_added, fields_read, reads


@pytest.mark.parametrize(
    ("body", "names"),
    [
        ({"query": {"term": {"brand.keyword": "Acme", "boost": 2}}}, {"brand.keyword"}),
        ({"query": {"range": {"price": {"gte": 1, "boost": 2}}}}, {"price"}),
        ({"query": {"multi_match": {"query": "x", "fields": ["title^3", "*.raw^.5"]}}},
         {"title", "*.raw"}),
        ({"query": {"multi_match": {"query": "field"}}}, set()),
        ({"query": {"exists": {"field": "stock"}}}, {"stock"}),
        ({"query": {"more_like_this": {"fields": ["title"], "like": [{"match": {"a": 1}}]}}},
         {"title"}),
        ({"query": {"bool": {"must_not": [{"ids": {"values": ["x"]}}, {"match": {"text": "y"}}]}}},
         {"text"}),
        ({"query": {"knn": {"vector": {"vector": [1], "k": 1, "filter": {"term": {"a": 1}}}}}},
         {"vector", "a"}),
        ({"query": {"knn": {"field": "vector", "query_vector": [1]}}}, {"vector"}),
        ({"retriever": {"rrf": {"filter": [{"term": {"a": 1}}], "retrievers": [
            {"standard": {"query": {"match": {"b": "x"}}}}]}}}, {"a", "b"}),
        ({"sort": ["_score", "rank", {"price": {"order": "asc"}}]}, {"rank", "price"}),
        ({"collapse": {"field": "parent"}, "_source": ["title"]}, {"parent"}),
        ({"aggs": {"range": {"terms": {"field": "brand.keyword"}, "aggs": {
            "x": {"avg": {"field": "price"}}}}, "y": {"filter": {"term": {"a": 1}}}}},
         {"brand.keyword", "price", "a"}),
    ],
)  # fmt: skip
def test_fields_of_a_body(body: dict[str, Any], names: set[str]) -> None:
    """Those that it searches, filters, sorts, collapses and counts by, without boosts."""
    assert fields_read(body) == names


def test_a_name_with_a_star_is_there_if_one_fits() -> None:
    """As the cluster reads it."""
    assert absent({"*.raw", "title", "brand"}, {"title", "title.raw"}) == ("brand",)


@pytest.mark.parametrize("engine", ["opensearch", "elasticsearch"])
def test_what_the_shipped_listing_and_counts_read(engine: str) -> None:
    """By parameter; what a caller's clauses name is the caller's."""
    there = {template.name: template for template in load_templates(None, engine)}

    assert reads(there["filters"]) == {
        "": {"price_cents"},
        "brand": {"brand.keyword"},
        "category": {"category.keyword"},
        "only_in_stock": {"in_stock"},
    }
    assert reads(there["facets"]) == {
        "": {"brand.keyword", "category.keyword", "color.keyword", "price_cents"}
    }
    assert reads(there["lexical"]) == {"": set()}
    assert reads(there["vector"]) == {"": {"vector"}}


def test_what_a_parameter_s_value_names_is_read_beside_the_defaults() -> None:
    """Title is read in any case; what cannot be rendered adds nothing that is known."""
    template = next(one for one in load_templates() if one.name == "lexical-boosted")

    assert fields_added(template, "brand_fields", '["maker", "title"]') == {"maker"}
    assert fields_added(template, "phrase_boost", "2") == set()
    assert fields_added(template, "fields", "7") == set()


def test_each_field_that_is_not_there_is_told_with_who_reads_it() -> None:
    """A shop without brands, categories and stock; its own fields are not asked for."""
    there = [one for one in load_templates() if one.name in ("filters", "facets", "lexical")]

    lines = lacking("shop-1", there, {"title", "price_cents", "color.keyword"})

    begins = "index shop-1 has no field "
    assert [line.removeprefix(begins).partition(",")[0] for line in lines] == [
        "brand.keyword",
        "category.keyword",
        "in_stock",
    ]
    assert [line.partition(": ")[2] for line in lines] == [
        "facets, filters (brand)",
        "facets, filters (category)",
        "filters (only_in_stock)",
    ]


def test_counts_alone_of_no_field_that_is_there_are_nothing() -> None:
    """One field is enough; what also gives hits is no such template."""
    there = {template.name: template for template in load_templates()}

    assert counts_nothing(there["facets"], {"title"}) == (
        "brand.keyword",
        "category.keyword",
        "color.keyword",
        "price_cents",
    )
    assert counts_nothing(there["facets"], {"price_cents"}) == ()
    assert counts_nothing(there["filters"], {"title"}) == ()
    assert counts_nothing(Template("t", "{}"), ()) == ()


def test_a_template_whose_parameters_nobody_declared_is_not_known() -> None:
    """As indexes of earlier versions keep them."""
    assert reads(Template("t", '{"query": {"term": {"brand": "x"}}}')) == {}


def test_a_leg_s_template_that_cannot_take_what_a_search_asks_is_told() -> None:
    """By the names that `Search` asks; others are a frontend's own."""
    narrow = {"type": "object", "properties": {"query": {}, "size": {}}}
    legs = [Template(name, "{}", narrow) for name in ("lexical", "vector", "mine")]

    assert [line.partition(", so Search")[0] for line in undeclared(legs)] == [
        f"template {legs[0].id} declares no filters, facets",
        f"template {legs[1].id} declares no vector, filters",
    ]
    assert undeclared(load_templates()) == []
