"""Schema files, and the mapping that follows from a schema."""

from __future__ import annotations

from pathlib import Path

import pytest

from index_builder.mapping import index_body, mapping_hash, restored_settings
from index_builder.schema import BEIR, Field, Schema, read_schema
from rerank_core.cluster.dialect import ElasticsearchDialect, OpenSearchDialect
from rerank_core.cluster.vectors import VectorField
from rerank_core.errors import ConfigError

OPENSEARCH = OpenSearchDialect("3.5.0")


def read(tmp_path: Path, text: str) -> Schema:
    path = tmp_path / "shop.toml"
    path.write_text(text, encoding="utf-8")
    return read_schema(path)


def test_a_schema_file_names_columns_and_types(tmp_path: Path) -> None:
    """What is not said has its default."""
    schema = read(
        tmp_path,
        """
        id = "sku"
        [fields.title]
        type = "text"
        column = "product_name"
        boost = 3
        [fields.category]
        type = "keyword"
        list_separator = "|"
        [fields.price]
        type = "number"
        """,
    )

    assert schema == Schema(
        fields={
            "title": Field("text", column="product_name", boost=3.0),
            "category": Field("keyword", list_separator="|"),
            "price": Field("number"),
        },
        id="sku",
        language="english",
    )
    assert schema.columns == {"sku", "product_name", "category", "price"}


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("id = ", "shop.toml: not TOML"),
        ('[fields.title]\ntype = "text"\nboots = 2', r"shop.toml: fields.title.boots: Unexpected"),
        ('[fields.title]\ntype = "string"', "shop.toml: fields.title.type: Input should be 'text'"),
        ('id = "sku"', "shop.toml: fields: Field required"),
        ('[fields.price]\ntype = "number"', "at least one must be of type text or keyword"),
        ('[fields.vector]\ntype = "text"', "fields.vector: the builder writes this field itself"),
        ('[fields."a.b"]\ntype = "text"', "fields.a.b: a name is letters, digits"),
        ('[fields.title]\ntype = "text"\nboost = 0', "fields.title: .*boost 0.0 must be above 0"),
        ('[fields.title]\ntype = "text"\nboost = inf', "boost inf must be above 0 and finite"),
        ('[fields.title]\ntype = "text"\nlist_separator = ""', "list_separator must not be empty"),
    ],
)
def test_a_faulty_schema_file_is_refused_by_file_and_path(
    tmp_path: Path, text: str, fault: str
) -> None:
    """The error says where the fault is and what would be right."""
    with pytest.raises(ConfigError, match=fault) as caught:
        read(tmp_path, text)
    assert str(tmp_path / "shop.toml") in str(caught.value)


def test_a_schema_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    """By its path."""
    with pytest.raises(ConfigError, match=r"gone\.toml: No such file"):
        read_schema(tmp_path / "gone.toml")


def test_the_mapping_has_the_fields_and_refuses_others() -> None:
    """Text is searched by words, keywords also whole; the reranker's text is only stored.

    The title, which counts most, also has its words as they are written, without places.
    """
    body = index_body(BEIR, dimensions=384, dialect=OPENSEARCH, shards=2)

    words = {"type": "text", "analyzer": "product", "search_analyzer": "query"}
    unstemmed = {
        "type": "text",
        "analyzer": "product_unstemmed",
        "search_analyzer": "query_unstemmed",
        "index_options": "docs",
        "norms": False,
    }
    assert body["mappings"] == {
        "dynamic": "strict",
        "properties": {
            "title": {**words, "fields": {"unstemmed": unstemmed}},
            "text": words,
            "brand": {**words, "fields": {"keyword": {"type": "keyword"}}},
            "color": {**words, "fields": {"keyword": {"type": "keyword"}}},
            "category": {**words, "fields": {"keyword": {"type": "keyword"}}},
            "price_cents": {"type": "double"},
            "in_stock": {"type": "boolean"},
            "rerank_text": {"type": "keyword", "index": False, "doc_values": False},
            "content_hash": {"type": "keyword", "index": False, "doc_values": False},
            "vector": {
                "type": "knn_vector",
                "dimension": 384,
                "method": {
                    "name": "hnsw",
                    "engine": "lucene",
                    "space_type": "cosinesimil",
                    "parameters": {"m": 16, "ef_construction": 100},
                },
            },
        },
    }
    searched = ["title^3", "text^1", "brand^2", "color^1", "category^1"]
    assert body["settings"]["index"]["query.default_field"] == searched
    assert body["settings"]["index"]["number_of_shards"] == 2


def test_only_the_stemmer_is_left_out_of_unstemmed_words() -> None:
    """Case and accents fall there, too; a pasted page loses its end, a misspelt one sooner."""
    analyzers = index_body(BEIR, 384, OPENSEARCH, 1)["settings"]["analysis"]["analyzer"]

    assert {name: analyzers[name]["filter"] for name in analyzers} == {
        "product": ["lowercase", "stem", "asciifolding"],
        "query": ["lowercase", "stem", "asciifolding", "first_terms"],
        "query_misspelt": ["lowercase", "stem", "asciifolding", "first_misspelt"],
        "product_unstemmed": ["lowercase", "asciifolding"],
        "query_unstemmed": ["lowercase", "asciifolding", "first_misspelt"],
    }


@pytest.mark.parametrize(
    ("fields", "counts_most"),
    [
        ({"name": Field("text"), "description": Field("text")}, "name"),
        ({"about": Field("text"), "name": Field("text", boost=2)}, "name"),
        ({"brand": Field("keyword", boost=9), "name": Field("text")}, "name"),
        ({"brand": Field("keyword"), "line": Field("keyword", boost=2)}, "line"),
        ({"price": Field("number", boost=5), "name": Field("text")}, "name"),
    ],
)
def test_one_field_has_its_words_unstemmed(fields: dict[str, Field], counts_most: str) -> None:
    """The text of the greatest boost, the first of equals; a keyword where there is no text."""
    properties = index_body(Schema(fields), 384, OPENSEARCH, 1)["mappings"]["properties"]

    found = [name for name in properties if "unstemmed" in properties[name].get("fields", {})]
    assert found == [counts_most]


def test_loading_settings_are_all_restored() -> None:
    """No refreshes and no replicas while loading; afterwards nothing of it is left."""
    index = index_body(BEIR, 384, OPENSEARCH, shards=1)["settings"]["index"]
    assert index["refresh_interval"] == "-1"
    assert index["number_of_replicas"] == 0

    assert restored_settings(replicas=2) == {
        "refresh_interval": None,
        "number_of_replicas": 2,
        "translog.flush_threshold_size": None,
    }


@pytest.mark.parametrize(
    ("schema", "dimensions"),
    [
        (BEIR, 32),
        (Schema(BEIR.fields, vector=VectorField(engine="faiss")), 384),
        (Schema(BEIR.fields, language="german"), 384),
        (Schema({**BEIR.fields, "title": Field("text", boost=4)}), 384),
        (Schema({**BEIR.fields, "size": Field("keyword")}), 384),
    ],
)
def test_the_mapping_hash_tells_indexes_apart_that_search_otherwise(
    schema: Schema, dimensions: int
) -> None:
    """Dimensions, engine, language, boosts and fields all count."""
    usual = mapping_hash(index_body(BEIR, 384, OPENSEARCH, shards=1))

    assert mapping_hash(index_body(schema, dimensions, OPENSEARCH, shards=1)) != usual


def test_the_mapping_hash_does_not_know_shards() -> None:
    """How an index is spread does not change what it finds."""
    one = mapping_hash(index_body(BEIR, 384, OPENSEARCH, shards=1))

    assert mapping_hash(index_body(BEIR, 384, OPENSEARCH, shards=5)) == one


def test_texts_do_without_filters_that_the_cluster_lacks() -> None:
    """Elasticsearch for tests has lowercase alone."""
    body = index_body(
        BEIR, 384, ElasticsearchDialect("9.2.0"), 1, ("stemmer", "asciifolding", "limit")
    )

    words = {"type": "custom", "tokenizer": "standard", "filter": ["lowercase"]}
    assert body["settings"]["analysis"] == {
        "filter": {},
        "analyzer": dict.fromkeys(
            ("product", "query", "query_misspelt", "product_unstemmed", "query_unstemmed"), words
        ),
    }


def test_the_vector_field_is_read_and_its_faults_are_named(tmp_path: Path) -> None:
    """From the table ``[vector]``."""
    fields = '[fields.title]\ntype = "text"\n[vector]\n'
    schema = read(tmp_path, fields + 'engine = "faiss"\ntype = "fp16"\nm = 24')
    assert schema.vector == VectorField(engine="faiss", type="fp16", m=24)
    for line, fault in (("m = 1", "m must be 2 to 512"), ('type = "int4"', "vector.type")):
        with pytest.raises(ConfigError, match=fault):
            read(tmp_path, fields + line)
