"""The index's mapping and settings."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from index_builder.schema import Field, Schema
from rerank_core.cluster.dialect import Dialect
from rerank_core.hashing import hash_json

# The cluster refuses a query of more than 1,024 clauses, and a clause is a term in a field. No
# shopper's query has as many terms as this; what pastes a page into the search box loses its end.
_QUERY_TERMS = 64
# Of a misspelt query's, each of which becomes up to 20 clauses in each of six fields (template
# zero-results): 960.
_MISSPELT_TERMS = 8

# Loading without refreshes and replicas builds each segment once; a long translog flushes less.
LOADING = {
    "refresh_interval": "-1",
    "number_of_replicas": 0,
    "translog.flush_threshold_size": "1gb",
}


_WORDS = ("text", "keyword")

# For words that are misspelt: letters are compared, and a stem has others than the word. Neither
# places nor lengths are needed for that, and most of the space goes to them.
_UNSTEMMED = {
    "type": "text",
    "analyzer": "product_unstemmed",
    "search_analyzer": "query_unstemmed",
    "index_options": "docs",
    "norms": False,
}

FILTERS = ("stemmer", "asciifolding", "limit")
"""Token filters that texts go through, beside ``lowercase``, which every cluster has."""

SYNONYMS = "synonym_graph"
"""The token filter of queries where the schema has synonyms. Of the two that there are, this one
keeps ``television set`` together as one meaning of ``tv``, and is for queries alone."""


def index_body(
    schema: Schema,
    dimensions: int,
    dialect: Dialect,
    shards: int,
    lacking: Collection[str] = (),
) -> dict[str, Any]:
    """The body that creates the index, set for loading.

    `lacking` are token filters that the cluster does not have, so that texts do without.

    Raises `ConfigError` for vectors that the engine does not have.

    Anything that is not in the mapping is refused (``dynamic: strict``). A search that names no
    fields searches all text and keyword fields by their boosts. The text that counts most, by its
    boost, has its words as they are written in ``NAME.unstemmed``, for queries that are misspelt.
    """
    counts_most = _counts_most(schema)
    return {
        "settings": {
            "index": {
                **dialect.settings(),
                "number_of_shards": shards,
                "query.default_field": _searched(schema),
                **LOADING,
            },
            "analysis": _analysis(schema, lacking),
        },
        "mappings": {
            "dynamic": "strict",
            "properties": {
                **{
                    name: _property(field, unstemmed=name == counts_most)
                    for name, field in schema.fields.items()
                },
                # Only returned, never searched: the reranker reads it.
                "rerank_text": {"type": "keyword", "index": False, "doc_values": False},
                # By it an update tells what has changed.
                "content_hash": {"type": "keyword", "index": False, "doc_values": False},
                "vector": dialect.vector_mapping(schema.vector, dimensions),
            },
        },
    }


def restored_settings(replicas: int) -> dict[str, Any]:
    """What undoes the settings for loading; None is the cluster's default."""
    return {**dict.fromkeys(LOADING), "number_of_replicas": replicas}


def mapping_hash(body: dict[str, Any]) -> str:
    """Equal for indexes that hold and search a product in the same way; 64 hex digits."""
    settings = body["settings"]
    return hash_json(
        {
            "mappings": body["mappings"],
            "analysis": settings["analysis"],
            "searched": settings["index"]["query.default_field"],
        }
    )


def _searched(schema: Schema) -> list[str]:
    return [
        f"{name}^{field.boost:g}" for name, field in schema.fields.items() if field.type in _WORDS
    ]


def _counts_most(schema: Schema) -> str:
    """The text field of the greatest boost, the first of equals; without text, so of keywords."""
    words = {name: field for name, field in schema.fields.items() if field.type in _WORDS}
    return max(words, key=lambda name: (words[name].type == "text", words[name].boost))


def _property(field: Field, *, unstemmed: bool) -> dict[str, Any]:
    words = {"type": "text", "analyzer": "product", "search_analyzer": "query"}
    below: dict[str, Any] = {"unstemmed": _UNSTEMMED} if unstemmed else {}
    match field.type:
        case "text":
            return {**words, "fields": below} if below else words
        case "keyword":
            return {**words, "fields": {"keyword": {"type": "keyword"}, **below}}
        case "number":
            return {"type": "double"}
        case "boolean":
            return {"type": "boolean"}


def _analysis(schema: Schema, lacking: Collection[str]) -> dict[str, Any]:
    # One analysis for all fields: the cross_fields match groups fields by their analyzer. Accents
    # fall after stemming, since a stemmer reads them.
    named: dict[str, dict[str, Any]] = {
        "stem": {"type": "stemmer", "language": schema.language},
        "first_terms": {"type": "limit", "max_token_count": _QUERY_TERMS},
        "first_misspelt": {"type": "limit", "max_token_count": _MISSPELT_TERMS},
    }
    # Behind what changes words, so that rules, which go through the filters before theirs, match
    # them in any form. Before the limit, which counts what they add.
    meanings = []
    if schema.synonyms:
        named["synonyms"] = {"type": SYNONYMS, "synonyms": list(schema.synonyms)}
        meanings = ["synonyms"]
    defined = {name: kind for name, kind in named.items() if kind["type"] not in lacking}

    def chain(*names: str) -> dict[str, Any]:
        there = [name for name in names if name in defined or name not in {*named, *lacking}]
        return {"type": "custom", "tokenizer": "standard", "filter": there}

    return {
        "filter": defined,
        "analyzer": {
            "product": chain("lowercase", "stem", "asciifolding"),
            "query": chain("lowercase", "stem", "asciifolding", *meanings, "first_terms"),
            "query_misspelt": chain("lowercase", "stem", "asciifolding", "first_misspelt"),
            "product_unstemmed": chain("lowercase", "asciifolding"),
            "query_unstemmed": chain("lowercase", "asciifolding", "first_misspelt"),
        },
    }
