"""Writes documents to the index by bulk requests."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
from opensearchpy import OpenSearch, helpers

from index_builder.documents import Document
from index_builder.encode import EncodedChunk
from index_builder.rows import Reject
from rerank_core.cluster.failures import cluster_errors
from rerank_core.errors import ClusterRefused, ClusterUnavailable

_MOST_DOCUMENTS = 500
_MOST_BYTES = 8 << 20
# 2, 4, 8, 16, 32 seconds: a minute of a cluster that says it is busy.
_RETRIES = 5
_BUSY = 429
_MALFORMED = 400


def send(client: OpenSearch, index: str, chunk: EncodedChunk) -> Iterator[Reject]:
    """Writes a chunk; what the cluster finds malformed comes back.

    Requests are bound by count and by bytes. Raises `ClusterUnavailable` where the cluster stays
    busy, `ClusterRefused` where it refuses for a reason that is not in the document, and
    `ClusterTimeout`; some documents may then have been written.
    """
    documents = {document.id: document for document in chunk.documents}
    with cluster_errors(f"writing to {index}"):
        results = helpers.streaming_bulk(
            client,
            zip(chunk.documents, chunk.vectors, strict=True),
            index=index,
            expand_action_callback=_action,
            chunk_size=_MOST_DOCUMENTS,
            max_chunk_bytes=_MOST_BYTES,
            max_retries=_RETRIES,
            raise_on_error=False,
            yield_ok=False,
        )
        for _, result in results:
            [item] = result.values()
            yield _reject(index, documents[item["_id"]], item)


def _action(encoded: tuple[Document, npt.NDArray[np.float32]]) -> tuple[dict[str, Any], str]:
    """The bulk action and the document's JSON."""
    document, vector = encoded
    fields = json.dumps(
        {**document.fields, "rerank_text": document.rerank_text}, ensure_ascii=False
    )
    # Nine significant digits tell any two float32 apart; the shortest form of a double has 17.
    numbers = ",".join([f"{number:.9g}" for number in vector.tolist()])
    return {"index": {"_id": document.id}}, f'{fields[:-1]}, "vector": [{numbers}]}}'


def _reject(index: str, document: Document, item: dict[str, Any]) -> Reject:
    status, line = item["status"], document.row.line
    # The cause is what to mend: "failed to parse" alone does not say why.
    said = [item["error"], item["error"].get("caused_by") or {}]
    reason = ": ".join(str(error["reason"]) for error in said if "reason" in error)
    if status == _MALFORMED:
        return Reject(line, document.id, f"refused by the cluster: {reason}", document.row.values)
    message = f"writing line {line} to {index}: the cluster answers {status}: {reason}"
    if status == _BUSY:
        raise ClusterUnavailable(f"{message}; it stayed busy, try again later")
    raise ClusterRefused(message, status)
