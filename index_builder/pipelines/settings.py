"""The cluster's own settings that a stock rerank needs."""

from __future__ import annotations

import re
from typing import Any

from opensearchpy import OpenSearch

from index_builder.pipelines.stock import StockRerank
from rerank_core.cluster.failures import cluster_errors

_ML = "plugins.ml_commons"
TRUSTED = f"{_ML}.trusted_connector_endpoints_regex"
PRIVATE = f"{_ML}.connector.private_ip_enabled"


def read_settings(client: OpenSearch) -> dict[str, Any]:
    """What holds now, by flat names. Raises `ClusterError`."""
    with cluster_errors("reading the cluster's settings"):
        said = client.cluster.get_settings(
            params={"flat_settings": "true", "include_defaults": "true"}
        )
    return {**said["defaults"], **said["persistent"], **said["transient"]}


def trusts(settings: dict[str, Any], url: str) -> bool:
    """Whether connectors may call `url`."""
    return any(_matches(pattern, url) for pattern in _patterns(settings))


def private_allowed(settings: dict[str, Any]) -> bool:
    """Whether connectors may call private addresses."""
    return str(settings.get(PRIVATE, "false")) == "true"


def open_way(client: OpenSearch, stock: StockRerank, *, private: bool) -> list[str]:
    """Lets connectors call the sidecar; names of the settings that were changed for it.

    Other endpoints stay trusted. Raises `ClusterError`.
    """
    settings = read_settings(client)
    changed: dict[str, Any] = {}
    if not trusts(settings, stock.url):
        changed[TRUSTED] = [*_patterns(settings), stock.trusted]
    if private and not private_allowed(settings):
        changed[PRIVATE] = True
    if changed:
        with cluster_errors("letting connectors call the sidecar"):
            client.cluster.put_settings(body={"persistent": changed})
    return sorted(changed)


def _patterns(settings: dict[str, Any]) -> list[str]:
    found = settings.get(TRUSTED, [])
    return list(found) if isinstance(found, list) else [str(found)]


def _matches(pattern: str, url: str) -> bool:
    try:
        return re.fullmatch(pattern, url) is not None
    except re.error:  # Java's dialect has more
        return False
