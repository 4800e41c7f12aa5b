"""The fresh index: made, finished, or discarded."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from opensearchpy import OpenSearch

from index_builder.mapping import restored_settings
from index_builder.progress import Progress
from rerank_core.cluster.failures import cluster_errors
from rerank_core.errors import ClusterError, ClusterRefused, ReleaseError

_BAD_REQUEST = 400


def create_index(client: OpenSearch, alias: str, body: dict[str, Any]) -> str:
    """Creates an index that did not exist, named by alias and time. Raises `ClusterError`."""
    index = name = f"{alias}-{datetime.now(UTC):%Y%m%dt%H%M%Sz}"
    number = 1
    while not _created(client, index, body):
        number += 1
        index = f"{name}-{number}"
    return index


@contextmanager
def discarded_on_failure(client: OpenSearch, index: str, progress: Progress) -> Iterator[None]:
    """Deletes an unfinished index where the block fails or is interrupted."""
    try:
        yield
    except BaseException:
        try:
            with cluster_errors(f"deleting {index}"):
                client.indices.delete(index=index)
        except ClusterError as error:
            progress.note(f"{index} is unfinished and stays; delete it: {error}")
        else:
            progress.note(f"{index} was not finished and is deleted; the alias was not touched")
        raise


def finish_index(client: OpenSearch, index: str, replicas: int, documents: int) -> None:
    """Ends loading and checks the count. Raises `ReleaseError`, `ClusterError`."""
    with cluster_errors(f"finishing {index}"):
        client.indices.put_settings(index=index, body={"index": restored_settings(replicas)})
        client.indices.refresh(index=index)
        count = client.count(index=index)["count"]
    if count != documents:
        raise ReleaseError(
            f"index {index}: the cluster took {documents} documents and counts {count}; "
            "does something else write to it? Build again"
        )


def _created(client: OpenSearch, index: str, body: dict[str, Any]) -> bool:
    """False where the name is taken."""
    try:
        with cluster_errors(f"creating {index}"):
            client.indices.create(index=index, body=body)
    except ClusterRefused as refusal:
        with cluster_errors(f"looking for {index}"):
            if refusal.status == _BAD_REQUEST and client.indices.exists(index=index):
                return False
        raise
    return True
