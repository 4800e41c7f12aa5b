"""Trying the stored templates on the fresh index before anybody else does."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from opensearchpy import OpenSearch

from rerank_core.cluster.failures import cluster_errors
from rerank_core.errors import ReleaseError

_SAMPLES = 5
_QUERY_CHARACTERS = 200


def try_templates(client: OpenSearch, index: str, templates: Mapping[str, str]) -> None:
    """Each template must find something when it is asked for products of the index itself.

    `templates` are ids by name. Raises `ReleaseError` naming the template, and `ClusterError`.
    """
    with cluster_errors(f"sampling {index}"):
        answer = client.search(index=index, body={"size": _SAMPLES, "query": {"match_all": {}}})
    samples = [hit["_source"] for hit in answer["hits"]["hits"]]
    for template_id in templates.values():
        if not any(_finds(client, index, template_id, sample) for sample in samples):
            raise ReleaseError(
                f"index {index}: search template {template_id} finds none of {len(samples)} "
                "sampled products by their own text and vector; check the schema"
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
    with cluster_errors(f"trying search template {template_id} on {index}"):
        answer = client.search_template(index=index, body={"id": template_id, "params": parameters})
    return bool(answer["hits"]["hits"]) and not answer["_shards"]["failed"]
