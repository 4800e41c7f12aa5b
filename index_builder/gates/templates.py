"""The search templates render and find something, on this very index."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from opensearchpy import OpenSearch

from index_builder.gates.fields import FIELD_MEND, counts_nothing, lacking
from rerank_core.cluster.failures import cluster_errors
from rerank_core.cluster.release import GateRecord, index_fields
from rerank_core.cluster.templates import Template, render
from rerank_core.errors import ClusterRefused, ConfigError, InputError

LEGS = frozenset({"lexical", "vector"})
"""What every index must be able to answer."""

_QUERY_CHARACTERS = 200
_SAMPLES = 5
_FINDS_ITSELF = frozenset({"query", "vector", "ids", "like"})
"""Who asks by one of these of a product finds it, or what is like it."""


def template_gate(
    client: OpenSearch,
    index: str,
    templates: Sequence[Template],
    products: Sequence[Mapping[str, Any]],
    *,
    stored: bool,
    required: Collection[str] = LEGS,
) -> tuple[GateRecord, dict[str, str]]:
    """Each template finds something when it is asked for products of the index itself.

    `products` are documents of the index. Gives why templates do not work, too, by name: one whose
    name is not `required` is to be left out, and does not fail the gate. What a template can do
    beside that, but not by the fields of this index, is in the record. Raises `ClusterError`.
    """
    fields = index_fields(client, index)
    whole = [item for item in products if item["_source"].keys() >= {"rerank_text", "vector"}]
    products = whole[:_SAMPLES]
    problems = {}
    for template in templates:
        if absent := template.missing_fields(fields):
            problems[template.name] = (
                f"search template {template.id} searches {', '.join(absent)}, which index {index} "
                "does not have; rebuild it"
            )
            continue
        if uncounted := counts_nothing(template, fields):
            problems[template.name] = (
                f"search template {template.id} counts {', '.join(uncounted)} and nothing else, "
                f"which index {index} does not have; {FIELD_MEND}"
            )
            continue
        unread = lacking(index, [template], fields)
        try:
            if not any(_finds(client, index, template, item, stored=stored) for item in products):
                problems[template.name] = (
                    f"search template {template.id} finds none of {len(products)} sampled products "
                    "by their own text, vector and key; "
                    + ("; ".join([*unread, FIELD_MEND]) if unread else "check the schema")
                )
        except (ClusterRefused, ConfigError, InputError) as error:
            problems[template.name] = f"search template {template.id} does not run: {error}"
    missing = sorted(set(required) - {template.name for template in templates})
    failed = [problem for name, problem in problems.items() if name in required]
    failed += [f"there is no template {name}" for name in missing]
    working = [template for template in templates if template.name not in problems]
    said = f"{', '.join(template.id for template in working)} render and find products"
    left_out = [problem for name, problem in problems.items() if name not in required]
    if unread := lacking(index, working, fields):
        said = "; ".join([said, *unread, FIELD_MEND])
    record = GateRecord(
        "templates",
        "failed" if failed else "passed",
        len(working),
        len(set(required) | {template.name for template in working}),
        "; ".join(failed) or "; left out: ".join([said, *left_out]),
    )
    return record, problems


def sample_parameters(template: Template, product: Mapping[str, Any]) -> dict[str, Any]:
    """Parameters that ask for a product of the index; where nothing says what, the example's."""
    source = product["_source"]
    known = {
        "query": source["rerank_text"][:_QUERY_CHARACTERS],
        "vector": source["vector"],
        "k": _SAMPLES,
        "size": _SAMPLES,
        "ids": [product["_id"]],
        "like": [{"_id": product["_id"]}],
        "filters": [],
        "facets": {},
        "source_fields": False,
    }
    if not template.schema:
        return known
    [example, *_] = template.examples
    needed = {name: example[name] for name in _required(template) if name in example}
    return {**needed, **{name: value for name, value in known.items() if name in template.declared}}


def _finds(
    client: OpenSearch, index: str, template: Template, product: Mapping[str, Any], *, stored: bool
) -> bool:
    parameters = template.complete(sample_parameters(template, product))
    if stored:
        body: dict[str, Any] = {"id": template.id, "params": parameters}
        with cluster_errors(f"rendering search template {template.id}"):
            client.render_search_template(body=body)
        with cluster_errors(f"trying search template {template.id} on {index}"):
            answer = client.search_template(index=index, body=body)
    else:
        with cluster_errors(f"trying search template {template.id} on {index}"):
            answer = client.search(index=index, body=render(template, parameters))
    if answer["_shards"]["failed"]:
        return False
    total = answer["hits"].get("total", {"value": 0})["value"]
    return bool(answer["hits"]["hits"] or total or not _must_find(template))


def _must_find(template: Template) -> bool:
    """By what it asks of a product, or because it asks nothing that an index may not have."""
    if not template.declared or template.declared.keys() & _FINDS_ITSELF:
        return True
    return not _required(template) - {"size", "k", "filters", "facets", "source_fields"}


def _required(template: Template) -> frozenset[str]:
    return frozenset(template.schema.get("required", ()))
