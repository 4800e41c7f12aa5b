"""Synonyms on a real cluster: what they find, and what they leave as it was."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from opensearchpy import OpenSearch

from index_builder.mapping import index_body
from index_builder.schema import BEIR
from index_builder.update import check_same
from rerank_core.cluster.connection import connect
from rerank_core.cluster.dialect import detect
from rerank_core.cluster.release import resolve_alias
from rerank_core.cluster.settings import ClusterSettings
from rerank_core.cluster.templates import load_templates, render
from rerank_core.errors import ReleaseError
from tests.index_builds import MakeShop, products

RULES = (
    "sofas, couch, settee",
    "tv, television set",
    "wifi => wireless network",
    "t-shirt, tee",
    "fridge, réfrigérateur",
    "shoe, shoes",
    *(f"word{number}, {', '.join(f'w{number}x{at}' for at in range(30))}" for number in range(90)),
)
PRODUCTS = {
    "sofa": {"title": "Grey sofa", "brand": "Acme", "text": "for three"},
    "couch": {"title": "Leather couches", "brand": "Zeta"},
    "set": {"title": "Television sets", "brand": "Acme", "text": "with a stand"},
    "tv": {"title": "Flat TV", "brand": "Zeta"},
    "chess": {"title": "Chess set", "brand": "Acme", "text": "as seen on television"},
    "router": {"title": "Router for a wireless network"},
    "card": {"title": "Wifi card"},
    "tee": {"title": "Cotton tee"},
    "shirt": {"title": "White shirt, size T"},
    "tshirt": {"title": "White T-shirt"},
    "fridge": {"title": "Refrigerateur A+"},
    "drill": {"title": "Cordless drill 18 V", "brand": "Acme"},
    "shoe": {"title": "Running shoes"},
}


@pytest.fixture(scope="module")
def client(cluster: ClusterSettings) -> Iterator[OpenSearch]:
    with connect(cluster) as client:
        yield client


@pytest.fixture(scope="module")
def indexes(client: OpenSearch) -> Iterator[dict[bool, str]]:
    """The same products with synonyms, under True, and without."""
    names = {}
    for given in (True, False):
        schema = replace(BEIR, synonyms=RULES) if given else BEIR
        names[given] = f"test-{uuid.uuid4().hex}"
        client.indices.create(
            index=names[given], body=index_body(schema, 3, detect(client), shards=1)
        )
        for key, fields in PRODUCTS.items():
            client.index(index=names[given], id=key, body=fields)
        client.indices.refresh(index=names[given])
    yield names
    for name in names.values():
        client.indices.delete(index=name)


def hits(client: OpenSearch, index: str, query: str, name: str = "lexical") -> dict[str, float]:
    """Scores by product, best first."""
    template = next(one for one in load_templates() if one.name == name)
    body = render(template, template.complete({"query": query, "size": 20}))
    answer = client.search(index=index, body=body)
    assert answer["_shards"]["failed"] == 0
    return {hit["_id"]: hit["_score"] for hit in answer["hits"]["hits"]}


@pytest.mark.parametrize(
    ("query", "finds", "did_not"),
    [
        ("settees", {"sofa", "couch"}, {"sofa", "couch"}),
        ("Couch", {"sofa", "couch"}, {"sofa"}),
        ("zeta couch", {"couch", "sofa", "tv"}, {"sofa"}),
        ("television set", {"set", "tv"}, {"tv"}),
        ("tee", {"tee", "tshirt"}, {"tshirt"}),
        ("fridge", {"fridge"}, {"fridge"}),
        ("shoe", {"shoe"}, set()),
    ],
)
def test_a_query_finds_what_is_called_otherwise(
    client: OpenSearch,
    indexes: dict[bool, str],
    query: str,
    finds: set[str],
    did_not: set[str],
) -> None:
    """In any form of a word, with or without accents, of one word or of several."""
    for name in ("lexical", "lexical-boosted"):
        found = set(hits(client, indexes[True], query, name))
        assert found == finds
        assert found - set(hits(client, indexes[False], query, name)) == did_not


def test_words_of_one_meaning_stay_together(client: OpenSearch, indexes: dict[bool, str]) -> None:
    """A tv is a television set, and neither a chess set nor what was on television."""
    assert set(hits(client, indexes[True], "tv")) == {"tv", "set"}
    assert set(hits(client, indexes[True], "tee")) == {"tee", "tshirt"}


def test_an_arrow_replaces_what_is_left_of_it(client: OpenSearch, indexes: dict[bool, str]) -> None:
    """The words behind it are searched, the one before it no more."""
    assert set(hits(client, indexes[True], "wifi")) == {"router"}
    assert set(hits(client, indexes[False], "wifi")) == {"card"}
    assert "card" not in hits(client, indexes[True], "wireless")


def test_all_words_of_a_query_count_as_found_by_their_synonyms(
    client: OpenSearch, indexes: dict[bool, str]
) -> None:
    """Acme's sofa has both words of "acme couch" and stands before what has one."""
    assert next(iter(hits(client, indexes[True], "acme couch"))) == "sofa"


@pytest.mark.parametrize(
    "query", ["cordless drill", "drill 18 v", "acme", "white shirt", "running", "zzz", "Acme drils"]
)
def test_queries_without_synonyms_are_answered_as_before(
    client: OpenSearch, indexes: dict[bool, str], query: str
) -> None:
    """Product by product, score by score: the index holds the same terms."""
    for name in ("lexical", "lexical-boosted", "zero-results"):
        assert hits(client, indexes[True], query, name) == hits(client, indexes[False], query, name)


def test_a_page_of_words_that_all_have_synonyms_is_answered(
    client: OpenSearch, indexes: dict[bool, str]
) -> None:
    """90 words of 31 meanings each would be 2,790 terms in five fields; the first 64 count."""
    words = " ".join(f"word{number}" for number in range(90))

    assert set(hits(client, indexes[True], f"drill {words}")) == {"drill"}
    assert set(hits(client, indexes[True], f"sofa tv {words}")) >= {"sofa", "couch", "tv", "set"}


def test_they_are_part_of_what_an_index_is(make_shop: MakeShop) -> None:
    """A build with others resumes none without, and an update by another list is refused."""
    shop = make_shop(products(20))
    schema = replace(BEIR, synonyms=("table, desk",))
    assert shop.build(schema=schema).swapped
    _, release = resolve_alias(shop.client, shop.plan.alias)
    same, other = (
        shop.prepared(schema=replace(schema, synonyms=rules))
        for rules in (("table, desk",), ("table, bench",))
    )

    check_same(shop.live, release, same)
    with pytest.raises(ReleaseError, match="its mapping differ"):
        check_same(shop.live, release, other)
    assert same.plan_hash(shop.plan) != other.plan_hash(shop.plan)
    found: Any = shop.client.search(
        index=shop.live, body={"query": {"multi_match": {"query": "desks", "type": "cross_fields"}}}
    )
    assert found["hits"]["total"]["value"] == 20
