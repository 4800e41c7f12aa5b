"""Template files, their ids, their parameters, and what is refused before a cluster sees it."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from rerank_core.cluster.templates import Template, load_templates, render
from rerank_core.cluster.templates.folder import ENGINES
from rerank_core.cluster.templates.golden import golden_diff
from rerank_core.errors import ConfigError, InputError

SHIPPED = {
    "combined",
    "facets",
    "filters",
    "hybrid",
    "ids",
    "lexical",
    "lexical-boosted",
    "more-like-this",
    "vector",
    "zero-results",
}


def schema(properties: dict[str, Any], **changes: Any) -> dict[str, Any]:
    return {
        "description": "A template of a test.",
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
        "examples": [{}],
        **changes,
    }


def template(source: str, **properties: Any) -> Template:
    return Template("t", source, schema(properties))


def test_an_id_is_name_and_twelve_digits_of_what_a_body_follows_from() -> None:
    """Source and schema as canonical JSON, without what only people read."""
    digits = hashlib.sha256(b'["{}",{}]').hexdigest()[:12]
    assert Template("lexical", "{}").id == f"lexical@{digits}"
    assert Template("lexical", "{ }").id != Template("lexical", "{}").id

    def boosted(default: float, text: str) -> Template:
        kind = {"type": "number", "description": text, "default": default}
        return Template(
            "t", "{}", {"description": text, "examples": [{}], "properties": {"b": kind}}
        )

    digits = hashlib.sha256(
        b'["{}",{"properties":{"b":{"default":2,"type":"number"}}}]'
    ).hexdigest()[:12]
    assert boosted(2, "one").id == boosted(2, "other").id == f"t@{digits}"
    assert boosted(2, "one").id != boosted(3, "one").id


def test_a_parameter_may_be_called_as_prose_is() -> None:
    """Its default counts, whatever its name."""
    made = [
        Template("t", "{}", {"properties": {"title": {"type": "string", "default": text}}})
        for text in ("a", "b")
    ]
    assert made[0].id != made[1].id


@pytest.mark.parametrize("engine", ENGINES)
def test_the_package_brings_what_a_shop_needs(engine: str) -> None:
    """For both engines; each with a description and at least two examples."""
    shipped = load_templates(engine=engine)

    assert {template.name for template in shipped} == SHIPPED
    assert all(template.description and len(template.examples) >= 2 for template in shipped)


@pytest.mark.parametrize("engine", ENGINES)
def test_every_example_renders_to_what_is_written_down(engine: str) -> None:
    """A change of a template is seen in its golden file."""
    for shipped in load_templates(engine=engine):
        assert golden_diff(shipped, engine) == []


STRING = {"type": "string"}
LIST = {"type": "array", "items": {"type": "string"}}


@pytest.mark.parametrize(
    ("source", "properties", "fault"),
    [
        ('{"a": "{{b}}"}', {}, "b: is used and not declared"),
        ('{"a": 1}', {"b": STRING}, "parameter b is declared and not used"),
        ('{"a": "{{{b}}}"}', {"b": STRING}, r"\{\{\{b\}\}: only"),
        ('{"a": "{{&b}}"}', {"b": STRING}, "only"),
        ('{"a": "{{> b}}"}', {"b": STRING}, "only"),
        ('{"a": {{#toJson}}b{{/toJson}}}', {"b": STRING}, "may be a string"),
        ('{"a": "{{b}}"}', {"b": LIST}, "is no scalar"),
        ('{"a": "{{#join}}b{{/join}}"}', {"b": LIST}, "join escapes nothing"),
        ('{"a": [{{#b}}1{{/b}}]}', {"b": LIST}, "a section is of a boolean"),
        ('{"a": [{{#b}}1{{/b}}]}', {"b": {"type": "object"}}, "never empty"),
        ('{"a": {{b}}}', {"b": STRING}, "b: is text and stands outside of quotes"),
        ('{"a": ["x", {{b}}]}', {"b": {"enum": ["x", "y"]}}, "outside of quotes"),
        ('{"a": "\\\\" , "c": {{b}}}', {"b": STRING}, "outside of quotes"),
        ('{"a": [{{#c}}{{b}}{{/c}}]}', {"b": STRING, "c": {"type": "boolean"}}, "outside of quo"),
        ('{"a": {{#join}}b{{/join}}}', {"b": {**LIST, "items": {"enum": ["x"]}}}, "outside of quo"),
        ('{"a": "{{#toJson}}b{{/toJson}}"}', {"b": LIST}, "quotes of its own"),
        ('{"a": "\\{{b}}"}', {"b": STRING}, "a backslash before it"),
        (
            '{"a": "x{{#c}}", "d": "{{/c}}{{^c}}"{{/c}}, "b": {{b}}}',
            {"b": STRING, "c": {"type": "boolean"}},
            "begins within a text and ends outside",
        ),
        ('{"a": "{{real}}"}', {"real": STRING}, "a name is small letters"),
    ],
)
def test_a_template_that_could_be_broken_out_of_is_refused(
    source: str, properties: dict[str, Any], fault: str
) -> None:
    """Before it is stored anywhere, with what to write in its place."""
    with pytest.raises(ConfigError, match=fault):
        template(source, **properties).check("t.mustache")


def test_fields_that_an_index_lacks_are_named() -> None:
    """By the patterns of its schema, each of which one field fits at least."""
    searches = Template("t", "{}", schema({}, **{"x-requires-fields": ["*.unstemmed", "brand"]}))

    assert searches.missing_fields({"name", "name.unstemmed", "brand"}) == []
    assert searches.missing_fields({"unstemmed", "name", "brand.keyword"}) == [
        "*.unstemmed",
        "brand",
    ]
    assert Template("t", "{}").missing_fields(()) == []


def test_all_faults_are_named_at_once() -> None:
    """Not one a run."""
    broken = Template("t", '{"a": "{{b}}"}', {"type": "object"})
    with pytest.raises(ConfigError) as refused:
        broken.check("t.mustache")
    for fault in ("no description", "no examples", "b: is used and not declared"):
        assert fault in str(refused.value)


def test_defaults_are_filled_in_and_given_values_stay() -> None:
    """So that both modes see the same, whole parameters."""
    shop = Template(
        "t",
        '{"a": "{{q}}", "b": {{size}}}',
        schema({"q": STRING, "size": {"type": "integer", "default": 10}}, required=["q"]),
    )
    assert shop.complete({"q": "oak"}) == {"q": "oak", "size": 10}
    assert shop.complete({"q": "oak", "size": 3}) == {"q": "oak", "size": 3}


@pytest.mark.parametrize(
    ("given", "field", "problem"),
    [
        ({}, "q", "needs it, and nobody gives it"),
        ({"q": "x", "colour": "red"}, "colour", "no such parameter; it has: q"),
        ({"q": 3}, "q", 'is not of type "string"'),
    ],
)
def test_parameters_that_do_not_fit_are_named(
    given: dict[str, Any], field: str, problem: str
) -> None:
    """Missing, unknown, of another kind: by the parameter's name and the template's id."""
    shop = template('{"a": "{{q}}"}', q=STRING)
    with pytest.raises(InputError, match=problem) as refused:
        shop.complete(given)
    assert refused.value.field == field
    assert shop.id in str(refused.value)


@pytest.mark.parametrize(
    "text",
    ['"', "\\", "{{q}} {{/q}} {{#toJson}}l{{/toJson}}", "\n\t\x00\x1f\u2028", "🛋️", "x" * 10_000],
)
def test_text_stays_text(text: str) -> None:
    """Quotes, braces, control characters, emoji, ten thousand characters; also within lists."""
    shop = template('{"a": "{{q}}", "b": {{#toJson}}l{{/toJson}}}', q=STRING, l=LIST)
    assert render(shop, {"q": text, "l": [text]}) == {"a": text, "b": [text]}


def test_join_and_sections_render_as_the_cluster_does() -> None:
    """With a delimiter of its own, an object's part, and a boolean either way."""
    shop = template(
        '{"a": "{{#join}}f{{/join}}", "b": "{{#join delimiter=\'|\'}}f{{/join delimiter=\'|\'}}", '
        '"c": [{{#on}}1{{/on}}{{^on}}0{{/on}}{{#o}}, {{#toJson}}o.v{{/toJson}}{{/o}}]}',
        f={"type": "array", "items": {"enum": ["x", "y"]}},
        on={"type": "boolean"},
        o={"type": ["object", "null"], "properties": {"v": LIST}, "required": ["v"]},
    )
    shop.check("t")
    given = {"f": ["x", "y"], "on": True, "o": {"v": ["z"]}}
    assert render(shop, given) == {"a": "x,y", "b": "x|y", "c": [1, ["z"]]}
    assert render(shop, {**given, "on": False, "o": None})["c"] == [0]


@pytest.mark.parametrize(
    ("source", "fault"),
    [
        ('{"a": ', "no JSON"),
        ("[1]", "renders no JSON object"),
        ("{{#q}}", "no mustache"),
        ('{"a": {{absent}}}', "missing"),
    ],
)
def test_what_cannot_be_rendered_is_said(source: str, fault: str) -> None:
    """With the template's id."""
    broken = Template("t", source)
    with pytest.raises(ConfigError, match=fault) as refused:
        render(broken, {"q": True})
    assert broken.id in str(refused.value)


def write(folder: Path, name: str, text: str) -> None:
    (folder / name).write_text(text)


def test_a_folder_of_ones_own(tmp_path: Path) -> None:
    """The engine's own file stands in for the common one; a file without a schema is refused."""
    write(tmp_path, "browse.mustache", '{"a": "{{q}}"}')
    write(tmp_path, "browse.elasticsearch.mustache", '{"b": "{{q}}"}')
    write(tmp_path, "browse.json", json.dumps(schema({"q": STRING}, examples=[{"q": "x"}])))
    sources = [load_templates(tmp_path, engine)[0].source for engine in ENGINES]
    assert sources == ['{"a": "{{q}}"}', '{"b": "{{q}}"}']

    write(tmp_path, "other.mustache", "{}")
    with pytest.raises(ConfigError, match=r"other\.mustache has no other\.json"):
        load_templates(tmp_path)
    write(tmp_path, "other.json", "{")
    with pytest.raises(ConfigError, match=r"other\.json: not JSON"):
        load_templates(tmp_path)


def test_a_folder_without_templates_is_refused(tmp_path: Path) -> None:
    """So that a wrong path does not push nothing in silence."""
    with pytest.raises(ConfigError, match=r"holds no NAME\.mustache"):
        load_templates(tmp_path)
    with pytest.raises(ConfigError, match="name a template folder"):
        load_templates(tmp_path / "absent")
