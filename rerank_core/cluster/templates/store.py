"""Templates on the cluster: stored, looked up; the pipelines that fuse beside them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from opensearchpy import OpenSearch

from rerank_core.cluster.failures import cluster_errors
from rerank_core.cluster.templates.template import Template
from rerank_core.errors import ClusterRefused

_NOT_FOUND = 404

PIPELINES: Mapping[str, Mapping[str, Any]] = {
    "rrf": {
        "score-ranker-processor": {"combination": {"technique": "rrf", "rank_constant": 60}},
    },
    "minmax": {
        "normalization-processor": {
            "normalization": {"technique": "min_max"},
            "combination": {"technique": "arithmetic_mean"},
        },
    },
}
"""OpenSearch's processors by our name of the method, legs with equal weights."""


def push(client: OpenSearch, templates: Iterable[Template]) -> dict[str, str]:
    """Stores the templates; their ids by name. Safe to repeat. Raises `ClusterError`."""
    ids = {}
    for template in templates:
        store(client, template.id, template.source)
        ids[template.name] = template.id
    return ids


def store(client: OpenSearch, template_id: str, source: str) -> None:
    """Stores one under an id that a record has, whatever its id would be now.

    Raises `ClusterError`.
    """
    with cluster_errors(f"storing search template {template_id}"):
        client.put_script(id=template_id, body={"script": {"lang": "mustache", "source": source}})


def is_stored(client: OpenSearch, template_id: str) -> bool:
    """Whether the cluster has a template of this id. Raises `ClusterError`."""
    try:
        with cluster_errors(f"looking for search template {template_id}"):
            client.get_script(id=template_id)
    except ClusterRefused as refusal:
        if refusal.status != _NOT_FOUND:
            raise
        return False
    return True


def pipeline_name(method: str) -> str:
    """The search pipeline that fuses by a method."""
    return f"rerank-sidecar-{method}"


def missing_pipelines(client: OpenSearch) -> list[str]:
    """Names of those of `push_pipelines` that the cluster lacks. Raises `ClusterError`."""
    try:
        with cluster_errors("reading search pipelines"):
            there = client.transport.perform_request("GET", "/_search/pipeline")
    except ClusterRefused as refusal:
        if refusal.status != _NOT_FOUND:
            raise
        there = {}
    return [name for method in PIPELINES if (name := pipeline_name(method)) not in there]


def push_pipelines(client: OpenSearch) -> None:
    """Stores the pipelines that fuse a hybrid query. Safe to repeat. Raises `ClusterError`."""
    for method, processor in PIPELINES.items():
        name = pipeline_name(method)
        body = {
            "description": "Fuses the legs of rerank-sidecar's template hybrid.",
            "phase_results_processors": [processor],
        }
        with cluster_errors(f"storing search pipeline {name}"):
            client.transport.perform_request("PUT", f"/_search/pipeline/{name}", body=body)
