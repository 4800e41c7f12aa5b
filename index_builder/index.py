"""The fresh index: named, made, finished, or discarded."""

from __future__ import annotations

import base64
import secrets
import time
from datetime import UTC, datetime
from typing import Any

import numpy as np
from opensearchpy import OpenSearch

from index_builder.mapping import restored_settings
from index_builder.payload import encode_base64
from index_builder.progress import Progress
from rerank_core.cluster.dialect import Dialect
from rerank_core.cluster.failures import cluster_errors
from rerank_core.errors import ClusterError, ClusterRefused, ClusterTimeout

_NOT_FOUND = 404
_PROBE = "probe-of-base64-vectors"
_POLL_S = 0.2


def new_index_name(alias: str) -> str:
    """The alias, the time to the millisecond, and a part of its own: no other's is ever deleted.

    In order of names is in order of time.
    """
    now = datetime.now(UTC)
    return f"{alias}-{now:%Y%m%dt%H%M%S}{now.microsecond // 1000:03}z-{secrets.token_hex(4)}"


def create_index(client: OpenSearch, index: str, body: dict[str, Any]) -> None:
    """Raises `ClusterError`; the cluster may have made it all the same."""
    with cluster_errors(f"creating {index}"):
        client.indices.create(index=index, body=body)


def takes_base64(client: OpenSearch, dialect: Dialect, index: str, dimensions: int) -> bool:
    """Whether the fresh index takes vectors as base64, found by writing one and reading it back.

    A third of the bytes. OpenSearch does from 3.8 on. Raises `ClusterError`.
    """
    vector = np.zeros(dimensions, np.float32)
    vector[0] = 1.0
    try:
        with cluster_errors(f"trying base64 vectors on {index}"):
            client.index(index=index, id=_PROBE, body={"vector": encode_base64(vector)})
    except ClusterRefused:
        return False
    with cluster_errors(f"trying base64 vectors on {index}"):
        client.indices.refresh(index=index)
        body = {"query": {"ids": {"values": [_PROBE]}}, "_source": dialect.source(["vector"])}
        hits = client.search(index=index, body=body)["hits"]["hits"]
        client.delete(index=index, id=_PROBE)
    return bool(hits) and np.array_equal(_read_vector(hits[0]["_source"]["vector"]), vector)


def _read_vector(value: Any) -> Any:
    if isinstance(value, str):
        return np.frombuffer(base64.b64decode(value), "<f4")
    return np.asarray(value, np.float32)


def finish_index(
    client: OpenSearch, index: str, replicas: int, segments: int, progress: Progress
) -> None:
    """Ends loading: settings for use, few segments, and only then replicas. Raises `ClusterError`.

    `segments` 0 leaves them as they came. Replicas that are added last copy the finished graph.
    """
    restored = restored_settings(0)
    with cluster_errors(f"finishing {index}"):
        client.indices.put_settings(index=index, body={"index": restored})
        client.indices.refresh(index=index)
    if segments:
        _merge(client, index, segments, progress)
    with cluster_errors(f"finishing {index}"):
        client.indices.refresh(index=index)
        if replicas:
            settings = {"index": {"number_of_replicas": replicas}}
            client.indices.put_settings(index=index, body=settings)


def _merge(client: OpenSearch, index: str, segments: int, progress: Progress) -> None:
    """Merges, however long it takes: the cluster goes on where a request's patience ends."""
    doing = f"merging {index}"
    progress.note(f"  merging {index} to {segments} segment(s) a shard")
    try:
        with cluster_errors(doing):
            client.indices.forcemerge(index=index, params={"max_num_segments": segments})
    except ClusterTimeout:
        while _merging(client, index, doing):
            progress.tick()
            time.sleep(_POLL_S)


def _merging(client: OpenSearch, index: str, doing: str) -> bool:
    with cluster_errors(doing):
        said = client.indices.stats(index=index, metric="merge")
        tasks = client.tasks.list(params={"actions": "*forcemerge*", "detailed": "true"})
    busy = int(said["_all"]["total"]["merges"]["current"])
    running = [task for node in tasks["nodes"].values() for task in node["tasks"].values()]
    return busy > 0 or any(index in task.get("description", "") for task in running)


def count(client: OpenSearch, index: str) -> int:
    """Documents that a search sees. Raises `ClusterError`."""
    with cluster_errors(f"counting {index}"):
        return int(client.count(index=index)["count"])


def refresh(client: OpenSearch, index: str) -> None:
    """Searches see all that was written. Raises `ClusterError`."""
    with cluster_errors(f"refreshing {index}"):
        client.indices.refresh(index=index)


def discard(client: OpenSearch, index: str, progress: Progress) -> None:
    """Deletes an unfinished index; where that fails it is said which one stays."""
    try:
        with cluster_errors(f"deleting {index}"):
            client.indices.delete(index=index)
    except ClusterError as error:
        if isinstance(error, ClusterRefused) and error.status == _NOT_FOUND:
            return  # it was not created
        progress.note(f"{index} is unfinished and stays; delete it: {error}")
    else:
        progress.note(f"{index} was not finished and is deleted; the alias was not touched")
