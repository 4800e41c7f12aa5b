"""Synonyms of a schema: read, checked, and put where queries go through."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from index_builder.mapping import index_body, mapping_hash
from index_builder.schema import BEIR, Field, Schema, read_schema
from index_builder.synonyms import MOST_RULES, read_synonyms
from rerank_core.cluster.dialect import OpenSearchDialect
from rerank_core.errors import ConfigError

OPENSEARCH = OpenSearchDialect("3.5.0")
TITLE = '[fields.title]\ntype = "text"\n'


def test_a_schema_names_a_file_beside_it_or_lists_rules(tmp_path: Path) -> None:
    """Comments and empty lines are no rules."""
    rules = ("sofa, couch", "tele, television set => tv")
    (tmp_path / "words.txt").write_text(f"# by hand\n\n{rules[0]}\n  {rules[1]}\n")
    (tmp_path / "file.toml").write_text(f'synonyms = "words.txt"\n{TITLE}')
    (tmp_path / "list.toml").write_text(f"synonyms = {list(rules)}\n{TITLE}")

    assert read_schema(tmp_path / "file.toml") == read_schema(tmp_path / "list.toml")
    assert read_schema(tmp_path / "file.toml").synonyms == rules


@pytest.mark.parametrize(
    ("rule", "fault"),
    [
        ("couch", "'couch' names one term; write what it means beside it"),
        ("sofa, , couch", "has an empty term, which holds no letter or digit"),
        ("sofa, couch,", "has an empty term"),
        ("=> couch", "has an empty term"),
        ("couch =>", "has an empty term"),
        ("a => b => c", "has more than one =>"),
        ("and, &", "has '&', which holds no letter or digit"),
        ("x" * 70, f"'{'x' * 60}...' names one term"),
    ],
)
def test_a_malformed_rule_is_refused_by_its_line(tmp_path: Path, rule: str, fault: str) -> None:
    """In a file by the line, in a list by the place, before the cluster is asked."""
    file = tmp_path / "words.txt"
    file.write_text(f"# words\nsofa, couch\n\n{rule}\n")

    with pytest.raises(ConfigError) as refused:
        read_synonyms(file)
    assert str(refused.value).startswith(f"synonyms {file}: line 4: ")
    assert fault in str(refused.value)
    (tmp_path / "list.toml").write_text(f"synonyms = {['a, b', rule]}\n{TITLE}")
    with pytest.raises(ConfigError, match=r"list\.toml: .*synonyms\[1\]: "):
        read_schema(tmp_path / "list.toml")


def test_all_lines_are_named_at_once_up_to_five(tmp_path: Path) -> None:
    """A comma or an arrow behind a backslash is part of a term."""
    file = tmp_path / "words.txt"
    file.write_text("1\\,5 v, 1.5 v\na \\=> b, c\n" + "lonely\n" * 8)

    with pytest.raises(ConfigError, match=r"line 3: .*line 7: .*; and 3 more$"):
        read_synonyms(file)


def test_a_file_that_cannot_be_read_has_no_rules_or_too_many_is_refused(tmp_path: Path) -> None:
    """By its path."""
    file = tmp_path / "words.txt"
    with pytest.raises(ConfigError, match=r"words\.txt: No such file"):
        read_synonyms(file)
    file.write_bytes(b"sof\xe1, couch\n")
    with pytest.raises(ConfigError, match=r"words\.txt: not UTF-8"):
        read_synonyms(file)
    file.write_text("# none\n")
    with pytest.raises(ConfigError, match="holds no rule"):
        read_synonyms(file)
    file.write_text("a, b\n" * (MOST_RULES + 1))
    with pytest.raises(ConfigError, match="has 10,001 rules, there may be 10,000"):
        read_synonyms(file)


def test_queries_go_through_them_behind_the_stemmer_and_products_do_not() -> None:
    """So an index's terms are the same with and without; another list is another mapping."""
    with_them = Schema({"title": Field("text")}, synonyms=("sofa, couch",))
    without = replace(with_them, synonyms=())

    ours, plain = (index_body(schema, 3, OPENSEARCH, 1) for schema in (with_them, without))

    analysis = ours["settings"]["analysis"]
    assert analysis["filter"]["synonyms"] == {"type": "synonym_graph", "synonyms": ["sofa, couch"]}
    analyzers = {name: kind["filter"] for name, kind in analysis["analyzer"].items()}
    assert analyzers["query"] == ["lowercase", "stem", "asciifolding", "synonyms", "first_terms"]
    del analyzers["query"]
    assert not any("synonyms" in filters for filters in analyzers.values())
    assert "synonyms" not in plain["settings"]["analysis"]["filter"]
    assert mapping_hash(ours) != mapping_hash(plain)
    other = index_body(replace(with_them, synonyms=("sofa, settee",)), 3, OPENSEARCH, 1)
    assert mapping_hash(ours) != mapping_hash(other)
    assert mapping_hash(plain) == mapping_hash(index_body(without, 3, OPENSEARCH, 1))
    assert BEIR.synonyms == ()
