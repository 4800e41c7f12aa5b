"""The fresh index: made, finished, or discarded."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from opensearchpy import OpenSearch

from index_builder.mapping import restored_settings
from index_builder.progress import Progress
from rerank_core.cluster.failures import cluster_errors
from rerank_core.errors import ClusterError, ClusterRefused, ReleaseError

_NOT_FOUND = 404


@contextmanager
def fresh_index(
    client: OpenSearch, alias: str, body: dict[str, Any], progress: Progress
) -> Iterator[str]:
    """The name of a new index, which the block finishes; it is deleted where the block fails.

    Also where creating it fails or is interrupted: the cluster may have done it all the same.
    Raises `ClusterError`.
    """
    # The last part makes the name ours alone, so that nobody else's index is ever deleted.
    index = f"{alias}-{datetime.now(UTC):%Y%m%dt%H%M%Sz}-{secrets.token_hex(4)}"
    try:
        with cluster_errors(f"creating {index}"):
            client.indices.create(index=index, body=body)
        yield index
    except BaseException:
        _discard(client, index, progress)
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


def _discard(client: OpenSearch, index: str, progress: Progress) -> None:
    try:
        with cluster_errors(f"deleting {index}"):
            client.indices.delete(index=index)
    except ClusterError as error:
        if isinstance(error, ClusterRefused) and error.status == _NOT_FOUND:
            return  # it was not created
        progress.note(f"{index} is unfinished and stays; delete it: {error}")
    else:
        progress.note(f"{index} was not finished and is deleted; the alias was not touched")
