"""Documents as the index has them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from opensearchpy import OpenSearch

from rerank_core.cluster.dialect import Dialect
from rerank_core.cluster.failures import cluster_errors


@dataclass(frozen=True, slots=True)
class Stored:
    """One document, or as much of it as was asked for."""

    fields: Mapping[str, Any]
    """Without those that the builder adds."""
    content_hash: str
    vector: npt.NDArray[np.float32] | None


def read_stored(
    client: OpenSearch, dialect: Dialect, index: str, keys: Sequence[str], fields: Sequence[str]
) -> dict[str, Stored]:
    """By key, those that are there, also where no search sees them yet. Raises `ClusterError`.

    `fields` beside ``content_hash``; ``vector`` brings the vector.
    """
    body, parameters = dialect.get(keys, [*fields, "content_hash"])
    with cluster_errors(f"reading documents of {index}"):
        found = client.mget(index=index, body=body, params=parameters)["docs"]
    return {item["_id"]: _read(item["_source"]) for item in found if item.get("found")}


def _read(source: dict[str, Any]) -> Stored:
    content_hash, vector = source.pop("content_hash", ""), source.pop("vector", None)
    source.pop("rerank_text", None)
    numbers = None if vector is None else np.asarray(vector, np.float32)
    return Stored(source, content_hash, numbers)
