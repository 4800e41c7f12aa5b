"""The stored search templates render and find something, on this very index."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from opensearchpy import OpenSearch

from rerank_core.cluster.failures import cluster_errors
from rerank_core.cluster.release import GateRecord
from rerank_core.errors import ClusterRefused

_QUERY_CHARACTERS = 200
_SAMPLES = 5


def template_gate(
    client: OpenSearch,
    index: str,
    templates: Mapping[str, str],
    products: Sequence[Mapping[str, Any]],
) -> GateRecord:
    """Each template finds something when it is asked for products of the index itself.

    `templates` are ids by name, `products` documents of the index. Raises `ClusterError`.
    """
    whole = [item for item in products if item["_source"].keys() >= {"rerank_text", "vector"}]
    products = whole[:_SAMPLES]
    problems = []
    for template_id in templates.values():
        try:
            if not any(_finds(client, index, template_id, item["_source"]) for item in products):
                problems.append(
                    f"search template {template_id} finds none of {len(products)} sampled products "
                    "by their own text and vector; check the schema"
                )
        except ClusterRefused as refusal:
            problems.append(f"search template {template_id} does not run: {refusal}")
    working = len(templates) - len(problems)
    return GateRecord(
        "templates",
        "failed" if problems else "passed",
        working,
        len(templates),
        "; ".join(problems) or f"{', '.join(templates.values())} render and find products",
    )


def _finds(client: OpenSearch, index: str, template_id: str, product: Mapping[str, Any]) -> bool:
    parameters = {
        "query": product["rerank_text"][:_QUERY_CHARACTERS],
        "vector": product["vector"],
        "k": _SAMPLES,
        "size": _SAMPLES,
        "filters": [],
        "facets": {},
        "source_fields": False,
    }
    body = {"id": template_id, "params": parameters}
    with cluster_errors(f"rendering search template {template_id}"):
        client.render_search_template(body=body)
    with cluster_errors(f"trying search template {template_id} on {index}"):
        answer = client.search_template(index=index, body=body)
    return bool(answer["hits"]["hits"]) and not answer["_shards"]["failed"]
