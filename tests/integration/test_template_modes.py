"""Both modes of a template: what a real cluster renders is what this process renders."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from opensearchpy import OpenSearch

from rerank_core.cluster.connection import connect
from rerank_core.cluster.settings import ClusterSettings
from rerank_core.cluster.templates import Template, load_templates, render

SHIPPED = {template.name: template for template in load_templates()}
HOSTILE = [
    'say "oak"',
    "back\\slash \\",
    '", "size": 9999, "x": "',
    "{}[]{{query}}{{/query}}{{#toJson}}filters{{/toJson}}{{! }}{{{",
    "line\nbreak\r\n\ttab",
    "\x00\x01\x1f\x7f\x85\u2028\u2029",
    "<script>&amp;'`${x}",
    "sofá 椅子 🛋️ \U0010ffff",
    'oak "{{" \n' * 1000,
]
texts = st.one_of(
    st.text(st.characters(exclude_categories=["Cs"]), max_size=40),
    st.text(st.sampled_from('"\\{}#/!^&$\n\x00 a'), max_size=20),
    st.sampled_from(HOSTILE),
)
numbers = st.one_of(
    st.integers(-(2**53), 2**53), st.floats(allow_nan=False, allow_infinity=False, width=32)
)
anything = st.recursive(
    st.one_of(st.none(), st.booleans(), numbers, texts),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(texts, inner, max_size=3)),
    max_leaves=6,
)


def values_of(kind: dict[str, Any]) -> st.SearchStrategy[Any]:
    """Values that a parameter's schema lets through."""
    types = kind.get("type", "string")
    return st.one_of(
        [_of_type(kind, one) for one in ([types] if isinstance(types, str) else types)]
    )


def _of_type(kind: dict[str, Any], one: str) -> st.SearchStrategy[Any]:  # noqa: PLR0911  a kind each
    match one:
        case "string":
            return texts
        case "integer":
            return st.integers(int(kind.get("minimum", 0)), int(kind.get("maximum", 10**6)))
        case "number":
            return st.floats(kind.get("minimum", -1e9), 1e9, width=32)
        case "boolean":
            return st.booleans()
        case "null":
            return st.none()
        case "array":
            items = values_of(kind["items"])
            return st.lists(items, min_size=kind.get("minItems", 0), max_size=4)
        case "object" if "properties" in kind:
            parts = {name: values_of(part) for name, part in kind["properties"].items()}
            required = set(kind.get("required", ())) or set(list(parts)[:1])
            return st.fixed_dictionaries(
                {name: parts[name] for name in required},
                optional={name: part for name, part in parts.items() if name not in required},
            )
        case "object":
            return st.dictionaries(texts, st.dictionaries(texts, anything, max_size=3), max_size=3)
    raise AssertionError(one)


def parameters_of(template: Template) -> st.SearchStrategy[dict[str, Any]]:
    kinds = {name: values_of(kind) for name, kind in template.declared.items()}
    required = set(template.schema["required"])
    return st.fixed_dictionaries(
        {name: kind for name, kind in kinds.items() if name in required},
        optional={name: kind for name, kind in kinds.items() if name not in required},
    )


@pytest.fixture(scope="module")
def client(cluster: ClusterSettings) -> Iterator[OpenSearch]:
    with connect(cluster) as client:
        yield client


def by_cluster(client: OpenSearch, template: Template, parameters: dict[str, Any]) -> Any:
    body = {"source": template.source, "params": parameters}
    return client.render_search_template(body=body)["template_output"]


@pytest.mark.parametrize("name", SHIPPED)
def test_both_modes_render_the_same(client: OpenSearch, name: str) -> None:
    """For whatever the schema lets through: hostile texts, deep filters, any numbers."""
    template = SHIPPED[name]

    @settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
    @given(parameters_of(template))
    def same(given_parameters: dict[str, Any]) -> None:
        whole = template.complete(given_parameters)
        assert render(template, whole) == by_cluster(client, template, whole)

    same()


@pytest.mark.parametrize("query", HOSTILE)
@pytest.mark.parametrize("name", [name for name in SHIPPED if "query" in SHIPPED[name].declared])
def test_a_hostile_query_is_one_string_in_both_modes(
    client: OpenSearch, name: str, query: str
) -> None:
    """Rendered in place of a harmless one it changes that string and nothing else."""
    template = SHIPPED[name]
    example = template.complete({**template.examples[0], "query": "PLACE"})
    expected = _replaced(render(template, example), query)
    whole = {**example, "query": query}

    assert render(template, whole) == expected
    assert by_cluster(client, template, whole) == expected


def _replaced(value: Any, query: str) -> Any:
    if isinstance(value, dict):
        return {key: _replaced(part, query) for key, part in value.items()}
    if isinstance(value, list):
        return [_replaced(part, query) for part in value]
    return query if value == "PLACE" else value


def test_functions_render_the_same(client: OpenSearch) -> None:
    """`join` with and without a delimiter, an object's part, booleans and null in sections."""
    functions = Template(
        "functions",
        '{"a": "{{#join}}f{{/join}}", "b": "{{#join delimiter=\'|\'}}f{{/join delimiter=\'|\'}}", '
        '"c": [{{#on}}1{{/on}}{{^on}}0{{/on}}{{#o}}, {{#toJson}}o.v{{/toJson}}{{/o}}]}',
    )
    for on, inner in ((True, {"v": ["{{z}}"]}), (False, None)):
        whole: dict[str, Any] = {"f": ["x", "y"], "on": on, "o": inner}
        assert render(functions, whole) == by_cluster(client, functions, whole)
