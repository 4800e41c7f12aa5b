"""The stored templates, rendered and run by a real cluster."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from opensearchpy import OpenSearch

from index_builder.mapping import index_body
from index_builder.schema import BEIR
from rerank_core.cluster.connection import connect
from rerank_core.cluster.dialect import detect
from rerank_core.cluster.failures import cluster_errors
from rerank_core.cluster.settings import ClusterSettings
from rerank_core.cluster.templates import load_templates, push, render
from rerank_core.errors import ClusterRefused

_TEXTS = ("title", "text", "brand", "color", "category")
HOSTILE = [
    'say "oak"',
    "back\\slash \\",
    '", "size": 9999, "x": "',
    "{}[]{{query}}{{/query}}{{#toJson}}filters{{/toJson}}{{! }}",
    "line\nbreak\r\n\ttab",
    "\x00\x01\x1f\x7f\x85\u2028\u2029",
    "<script>&amp;'`$",
    "sofá 椅子 🛋️ \U0010ffff",
    "oak " * 2500,
]


@pytest.fixture(scope="module")
def client(cluster: ClusterSettings) -> Iterator[OpenSearch]:
    with connect(cluster) as client:
        yield client


@pytest.fixture(scope="module")
def ids(client: OpenSearch) -> dict[str, str]:
    return push(client, load_templates())


def rendered(client: OpenSearch, template_id: str, **parameters: object) -> Any:
    answer = client.render_search_template(body={"id": template_id, "params": parameters})
    return answer["template_output"]


def lexical(query: str, **other: object) -> dict[str, Any]:
    usual = {"query": query, "size": 10, "filters": [], "facets": {}, "source_fields": ["title"]}
    return {**usual, **other}


def vector(values: list[float], **other: object) -> dict[str, Any]:
    return {"vector": values, "k": 3, "size": 3, "filters": [], "source_fields": False, **other}


def test_push_stores_under_the_id_and_may_be_repeated(
    client: OpenSearch, ids: dict[str, str]
) -> None:
    """The cluster then has the very source."""
    assert push(client, load_templates()) == ids
    for template in load_templates():
        stored = client.get_script(id=template.id)["script"]
        assert stored["lang"] == "mustache"
        assert stored["source"] == template.source


@pytest.mark.parametrize("query", HOSTILE)
def test_a_hostile_query_stays_text(client: OpenSearch, ids: dict[str, str], query: str) -> None:
    """Rendering gives valid JSON with the query intact, and nothing else changed by it."""
    usual = rendered(client, ids["lexical"], **lexical("PLACE"))
    expected = json.loads(json.dumps(usual).replace("PLACE", json.dumps(query)[1:-1]))

    assert rendered(client, ids["lexical"], **lexical(query)) == expected


@settings(
    max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(query=st.text(max_size=50), values=st.lists(st.text(max_size=10), max_size=3))
def test_any_query_and_filter_value_stay_text(
    client: OpenSearch, ids: dict[str, str], query: str, values: list[str]
) -> None:
    """Whatever characters a shopper's browser sends."""
    filters = [{"terms": {"brand.keyword": values}}]

    found = rendered(client, ids["lexical"], **lexical(query, filters=filters))

    assert found["query"]["bool"]["must"]["multi_match"]["query"] == query
    assert found["query"]["bool"]["filter"] == filters


def test_the_lexical_leg_renders_to_this(client: OpenSearch, ids: dict[str, str]) -> None:
    """The whole body, so that a change of the template is seen here."""
    facets = {"brand": {"terms": {"field": "brand.keyword", "size": 5}}}
    filters = [{"term": {"brand.keyword": "Acme"}}, {"range": {"price_cents": {"lt": 5000}}}]

    found = rendered(client, ids["lexical"], **lexical("oak", facets=facets, filters=filters))

    match = {"query": "oak", "type": "cross_fields"}
    assert found == {
        "size": 10,
        "track_total_hits": 10000,
        "_source": ["title"],
        "query": {
            "bool": {
                "must": {"multi_match": match},
                "should": {"multi_match": {**match, "operator": "and", "boost": 2}},
                "filter": filters,
            }
        },
        "aggs": facets,
    }


def test_the_vector_leg_renders_to_this(client: OpenSearch, ids: dict[str, str]) -> None:
    """The whole body, so that a change of the template is seen here."""
    filters = [{"term": {"brand.keyword": "Acme"}}]

    found = rendered(client, ids["vector"], **vector([0.5, -1e-9, 1.0], filters=filters))

    bool_filter = {"bool": {"filter": filters}}
    knn = {"vector": {"vector": [0.5, -1e-9, 1.0], "k": 3, "filter": bool_filter}}
    assert found == {"size": 3, "_source": False, "query": {"knn": knn}}


PRODUCTS = {
    "drill": (
        {
            "title": "Cordless drill 18 V",
            "brand": "Acme",
            "price_cents": 9900,
            "category": ["workshop"],
            "in_stock": True,
        },
        [1, 0, 0],
    ),
    "bits": (
        {"title": "Drill bits", "text": "for a drill", "brand": "Zeta", "category": ["workshop"]},
        [0.9, 0.1, 0],
    ),
    "sofa": (
        {
            "title": "Grey sofa",
            "brand": "Acme",
            "color": ["grey", "anthracite"],
            "price_cents": 59900,
            "in_stock": False,
        },
        [0, 1, 0],
    ),
    "cover": ({"title": "Cover", "text": "for sofas by Acme", "brand": "Zeta"}, [0, 0.9, 0.1]),
    "hammers": ({"title": "Claw hammers"}, [0, 0, 1]),
}


@pytest.fixture(scope="module")
def shop(client: OpenSearch, cluster: ClusterSettings) -> Iterator[str]:
    name = f"test-{uuid.uuid4().hex}"
    client.indices.create(index=name, body=index_body(BEIR, 3, detect(client), shards=1))
    for key, (fields, values) in PRODUCTS.items():
        client.index(index=name, id=key, body={**fields, "rerank_text": "x", "vector": values})
    client.indices.refresh(index=name)
    yield name
    client.indices.delete(index=name)


def search(client: OpenSearch, index: str, template_id: str, parameters: dict[str, Any]) -> Any:
    return client.search_template(index=index, body={"id": template_id, "params": parameters})


def found(answer: Any) -> list[str]:
    return [hit["_id"] for hit in answer["hits"]["hits"]]


def test_any_word_finds_and_all_words_stand_first(
    client: OpenSearch, shop: str, ids: dict[str, str]
) -> None:
    """Also where the words are spread over fields; stems and accents match."""
    answer = search(client, shop, ids["lexical"], lexical("Zeta drills"))
    assert found(answer)[0] == "bits"
    assert set(found(answer)) == {"bits", "drill", "cover"}
    assert answer["hits"]["total"] == {"value": 3, "relation": "eq"}

    assert found(search(client, shop, ids["lexical"], lexical("sófas"))) == ["sofa", "cover"]


@pytest.mark.parametrize(
    ("query", "products"),
    [
        ("cordles", ["drill"]),  # stemmed to cordl, three letters from cordless
        ("hamer", ["hammers"]),  # one letter from the stem, two from the word
        ("Corddless", ["drill"]),
        ("bbits", ["bits"]),
        ("greyy", ["sofa"]),
        ("zzzzzz", []),
    ],
)
def test_misspelt_words_are_found_as_written_and_by_their_stems(
    client: OpenSearch, shop: str, ids: dict[str, str], query: str, products: list[str]
) -> None:
    """Where the lexical leg finds nothing."""
    assert found(search(client, shop, ids["lexical"], lexical(query))) == []
    template = next(one for one in load_templates() if one.name == "zero-results")
    whole = template.complete({"query": query, "size": 10})

    assert found(search(client, shop, ids["zero-results"], whole)) == products


def test_a_misspelt_page_of_words_with_many_neighbours_is_answered(
    client: OpenSearch, index_name: str
) -> None:
    """Each of 20 words is near 25 others in each of five fields and the sub-field.

    All of them would be 3,000 clauses, and the cluster takes 1,024.
    """
    words = [f"qu{first}{second}mo" for first in "bcdfg" for second in "klmn"]
    client.indices.create(index=index_name, body=index_body(BEIR, 3, detect(client), shards=1))
    lines: list[dict[str, Any]] = []
    for word in words:
        for end in ("rv", "wx", "yz", "th", "pj"):
            for letters in (f"{word}{end[0]}{at}" for at in "aeiou"):
                lines += [{"index": {}}, dict.fromkeys(_TEXTS, letters)]
    client.bulk(index=index_name, body=lines, refresh=True)
    template = next(one for one in load_templates() if one.name == "zero-results")
    whole = template.complete({"query": " ".join(f"{word}qq" for word in words), "size": 10})

    answer = client.search(index=index_name, body=render(template, whole))

    assert answer["_shards"]["failed"] == 0
    assert len(found(answer)) == 10


def test_the_lexical_leg_filters_counts_and_returns_fields(
    client: OpenSearch, shop: str, ids: dict[str, str]
) -> None:
    """Filters hold for hits and facets alike; only the named fields come back."""
    facets = {"color": {"terms": {"field": "color.keyword"}}}
    filters = [{"term": {"brand.keyword": "Acme"}}]

    answer = search(
        client, shop, ids["lexical"], lexical("drill sofa", filters=filters, facets=facets)
    )

    assert sorted(found(answer)) == ["drill", "sofa"]
    assert [hit["_source"] for hit in answer["hits"]["hits"]] == [
        {"title": PRODUCTS[key][0]["title"]} for key in found(answer)
    ]
    counted = {
        bucket["key"]: bucket["doc_count"] for bucket in answer["aggregations"]["color"]["buckets"]
    }
    assert counted == {"grey": 1, "anthracite": 1}


def test_a_query_of_thousands_of_words_is_answered(
    client: OpenSearch, shop: str, ids: dict[str, str]
) -> None:
    """Its first terms count; the cluster's limit of clauses is not met."""
    words = " ".join(f"word{number}" for number in range(3000))

    answer = search(client, shop, ids["lexical"], lexical(f"drill {words}"))

    assert set(found(answer)) == {"drill", "bits"}


@pytest.mark.parametrize("query", HOSTILE)
def test_a_hostile_query_is_answered(
    client: OpenSearch, shop: str, ids: dict[str, str], query: str
) -> None:
    """With hits or without, never with an error."""
    answer = search(client, shop, ids["lexical"], lexical(query))

    assert answer["_shards"]["failed"] == 0


def test_the_vector_leg_finds_the_nearest(
    client: OpenSearch, shop: str, ids: dict[str, str]
) -> None:
    """By cosine; a score is (1 + cosine) / 2, so the product itself has 1."""
    answer = search(client, shop, ids["vector"], vector([2.0, 0.0, 0.0], k=2, size=2))

    assert found(answer) == ["drill", "bits"]
    assert answer["hits"]["hits"][0]["_score"] == pytest.approx(1.0)
    assert "_source" not in answer["hits"]["hits"][0]


def test_the_vector_leg_filters_while_it_searches(
    client: OpenSearch, shop: str, ids: dict[str, str]
) -> None:
    """With k of 2 the two nearest that pass are found, not what passes of the two nearest."""
    filters = [{"term": {"brand.keyword": "Zeta"}}]

    answer = search(client, shop, ids["vector"], vector([1, 0, 0], k=2, size=2, filters=filters))

    assert found(answer) == ["bits", "cover"]


@pytest.mark.parametrize("missing", ["size", "filters", "facets", "source_fields"])
def test_a_missing_parameter_is_refused(
    client: OpenSearch, shop: str, ids: dict[str, str], missing: str
) -> None:
    """Never filled in behind the caller's back."""
    parameters = lexical("drill")
    del parameters[missing]

    with pytest.raises(ClusterRefused), cluster_errors("searching"):
        search(client, shop, ids["lexical"], parameters)


@pytest.mark.parametrize("missing", ["vector", "k", "size", "filters", "source_fields"])
def test_a_missing_vector_parameter_is_refused(
    client: OpenSearch, shop: str, ids: dict[str, str], missing: str
) -> None:
    """Never filled in behind the caller's back."""
    parameters = vector([1, 0, 0])
    del parameters[missing]

    with pytest.raises(ClusterRefused), cluster_errors("searching"):
        search(client, shop, ids["vector"], parameters)


def ask(client: OpenSearch, index: str, name: str, **parameters: Any) -> Any:
    """What the cluster answers to a stored template, the schema's defaults filled in."""
    [template] = [one for one in load_templates() if one.name == name]
    whole = template.complete(
        {"size": 10, **parameters} if "size" in template.declared else parameters
    )
    return search(client, index, template.id, whole)


@pytest.mark.parametrize(
    ("conditions", "products"),
    [
        ({}, {"drill", "bits", "sofa", "cover", "hammers"}),
        ({"brand": {"any_of": ["Acme", "Nobody"]}}, {"drill", "sofa"}),
        ({"category": {"any_of": ["workshop"]}}, {"drill", "bits"}),
        ({"price_cents": {"gte": 9900, "lt": 59900}}, {"drill"}),
        ({"only_in_stock": True}, {"drill", "bits", "cover", "hammers"}),
        ({"only_in_stock": True, "brand": {"any_of": ["Acme"]}}, {"drill"}),
    ],
)
def test_a_listing_has_what_its_filters_leave(
    client: OpenSearch,
    shop: str,
    ids: dict[str, str],
    conditions: dict[str, Any],
    products: set[str],
) -> None:
    """All must hold; what does not say that it is out of stock stays."""
    answer = ask(client, shop, "filters", **conditions)
    assert set(found(answer)) == products
    assert answer["hits"]["total"] == {"value": len(products), "relation": "eq"}


def test_a_listing_is_by_price_and_pages(
    client: OpenSearch, shop: str, ids: dict[str, str]
) -> None:
    """What has no price stands last."""
    assert found(ask(client, shop, "filters"))[:2] == ["drill", "sofa"]
    assert found(ask(client, shop, "filters", size=1, skip=1)) == ["sofa"]


def test_facets_count_a_query_s_products(
    client: OpenSearch, shop: str, ids: dict[str, str]
) -> None:
    """Drill, bits, sofa and cover match; no hits come with the counts."""
    answer = ask(client, shop, "facets", query="drill sofa")
    assert answer["hits"]["hits"] == []
    assert answer["hits"]["total"]["value"] == 4
    counted = {
        name: {bucket["key"]: bucket["doc_count"] for bucket in one["buckets"]}
        for name, one in answer["aggregations"].items()
        if "buckets" in one
    }
    assert counted == {
        "brand": {"Acme": 2, "Zeta": 2},
        "category": {"workshop": 2},
        "color": {"grey": 1, "anthracite": 1},
    }
    prices = answer["aggregations"]["price_cents"]
    assert (prices["count"], prices["min"], prices["max"]) == (2, 9900, 59900)
    filters = [{"term": {"brand.keyword": "Zeta"}}]
    answer = ask(client, shop, "facets", query="drill sofa", filters=filters)
    assert answer["hits"]["total"]["value"] == 2


def test_more_like_this_shares_words_and_leaves_out_what_it_was_given(
    client: OpenSearch, shop: str, ids: dict[str, str]
) -> None:
    """Drill and bits share a word of their titles; filters hold."""
    assert found(ask(client, shop, "more-like-this", like=[{"_id": "drill"}])) == ["bits"]
    both = [{"_id": "drill"}, {"_id": "bits"}]
    assert found(ask(client, shop, "more-like-this", like=both, fields=["title"])) == []
    filters = [{"term": {"brand.keyword": "Acme"}}]
    none = ask(client, shop, "more-like-this", like=[{"_id": "drill"}], filters=filters)
    assert found(none) == []


def test_combined_is_the_weighted_sum_of_both_legs(
    client: OpenSearch, shop: str, ids: dict[str, str]
) -> None:
    """Each leg alone by a weight of 0; a product that one leg finds has that leg's part alone."""
    query = {"query": "drill", "vector": [0.0, 2.0, 0.0], "k": 2}

    def scores(**weights: float) -> dict[str, float]:
        hits = ask(client, shop, "combined", **query, **weights)["hits"]["hits"]
        return {hit["_id"]: hit["_score"] for hit in hits}

    lexical = scores(lexical_weight=1, vector_weight=0)
    vectors = scores(lexical_weight=0, vector_weight=1)
    both = scores(lexical_weight=3, vector_weight=5)
    assert {key for key, score in lexical.items() if score} == {"drill", "bits"}
    assert {key for key, score in vectors.items() if score} == {"sofa", "cover"}
    assert vectors["sofa"] == pytest.approx(1.0)
    assert both == pytest.approx({key: 3 * lexical[key] + 5 * vectors[key] for key in both})
    filters = [{"term": {"brand.keyword": "Zeta"}}]
    assert set(found(ask(client, shop, "combined", **query, filters=filters))) == {"bits", "cover"}


@pytest.mark.parametrize(
    ("parameters", "first"),
    [
        ({"query": "bits 18", "numbers": "18", "number_boost": 0}, "bits"),
        ({"query": "bits 18", "numbers": "18", "number_boost": 50}, "drill"),
        ({"query": "zeta sofa", "brand_boost": 0, "fields": ["title"]}, "sofa"),
        ({"query": "zeta sofa", "brand_boost": 50}, "cover"),
        ({"query": "18 drill cordless bits", "all_words_boost": 0, "phrase_boost": 0}, "drill"),
        ({"query": "drill bits", "phrase_boost": 50}, "bits"),
    ],
)
def test_each_boost_of_the_boosted_leg_moves_its_products(
    client: OpenSearch, shop: str, ids: dict[str, str], parameters: dict[str, Any], first: str
) -> None:
    """Numbers, brand, words and phrase."""
    assert found(ask(client, shop, "lexical-boosted", **parameters))[0] == first


def test_the_boosted_leg_asks_for_as_many_words_as_it_is_told(
    client: OpenSearch, shop: str, ids: dict[str, str]
) -> None:
    """One word by default, all of them where that is said."""
    wide = ask(client, shop, "lexical-boosted", query="drill bits")
    narrow = ask(client, shop, "lexical-boosted", query="drill bits", minimum_should_match="100%")
    assert set(found(wide)) == {"drill", "bits"}
    assert found(narrow) == ["bits"]
