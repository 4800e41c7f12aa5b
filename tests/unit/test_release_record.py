"""Release records and alias names, read without a cluster."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from index_builder.trials import compare
from rerank_core.cluster.alias import check_alias
from rerank_core.cluster.release import Release, TemplateSource, read_release
from rerank_core.cluster.templates import load_templates
from rerank_core.errors import ConfigError, ReleaseError
from tests.release_records import RECORD

RELEASE = Release(
    encoder_name="minilm",
    encoder_hash="e" * 64,
    encoder_recipe_hash="f" * 64,
    recipe_hash="c" * 64,
    mapping_hash="d" * 64,
    templates={"lexical": "lexical@0123456789ab"},
    built_at=datetime(2026, 11, 23, 9, 48, tzinfo=UTC),
    documents=3,
    rejected=1,
    builder_version="0.1.0",
)


def mapping(record: object) -> dict[str, Any]:
    return {"dynamic": "strict", "_meta": {"release": record}, "properties": {}}


def test_a_record_is_read_whole() -> None:
    """Its time has a zone."""
    assert read_release("products-1", mapping(RECORD)) == RELEASE


def test_keys_of_a_newer_builder_are_passed_over() -> None:
    """An older server goes on serving what a newer builder wrote."""
    assert read_release("products-1", mapping({**RECORD, "native_path": "int8"})) == RELEASE


@pytest.mark.parametrize("body", [{}, {"_meta": {}}, {"_meta": {"owner": "search team"}}])
def test_an_index_without_a_record_is_unfinished_or_foreign(body: dict[str, Any]) -> None:
    """The error says so, and what to do."""
    with pytest.raises(ReleaseError, match=r"index products-1: .* no _meta\.release.*rebuild it"):
        read_release("products-1", body)


@pytest.mark.parametrize(
    ("record", "fault"),
    [
        ({**RECORD, "documents": "many"}, "documents: "),
        ({**RECORD, "built_at": "2026-11-23T09:48:00"}, "built_at: .*timezone"),
        ({key: RECORD[key] for key in RECORD if key != "encoder_hash"}, "encoder_hash: "),
        ("a string", "content: "),
        (None, "content: "),
    ],
)
def test_an_unreadable_record_names_index_and_key(record: object, fault: str) -> None:
    """And the mend."""
    expected = rf"index products-1: _meta\.release cannot be read, rebuild the index.*{fault}"
    with pytest.raises(ReleaseError, match=expected):
        read_release("products-1", mapping(record))


@pytest.mark.parametrize("alias", ["products", "p", "shop-1.de_at", "9lives", "a" * 200])
def test_plain_names_can_be_aliases(alias: str) -> None:
    """Lower case, digits and a little punctuation."""
    check_alias(alias)


@pytest.mark.parametrize(
    "alias", ["", "*", "prod*", "a,b", "_all", "-a", ".a", "Products", "a b", "é", "a" * 201, "a\n"]
)
def test_wildcards_lists_and_odd_names_cannot(alias: str) -> None:
    """They would resolve to what nobody meant."""
    with pytest.raises(ConfigError, match="lower-case letters"):
        check_alias(alias)


def test_a_template_under_an_id_of_an_earlier_version_is_the_same() -> None:
    """That was a hash of the source alone; what is kept under it decides, and a default counts."""
    [live] = [one for one in load_templates() if one.name == "lexical-boosted"]
    old = "lexical-boosted@0123456789ab"
    release = replace(
        RELEASE, templates={live.name: old}, sources={old: TemplateSource(live.source, live.schema)}
    )
    assert [found.state for found in compare("shop-1", release, [live])] == ["same"]

    slop = {**live.declared["phrase_slop"], "default": 2}
    schema = {**live.schema, "properties": {**live.declared, "phrase_slop": slop}}
    [found] = compare("shop-1", release, [replace(live, schema=schema)])
    assert found.state == "changed"
    assert [line for line in found.diff if line[:1] in "+-"][2:] == [
        '-      "default": 0,',
        '+      "default": 2,',
    ]
