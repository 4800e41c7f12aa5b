"""Documents as the lines of a bulk request."""

from __future__ import annotations

import base64
from typing import Any

import numpy as np
import numpy.typing as npt
import orjson

from index_builder.documents import Document

_OPTIONS = orjson.OPT_SERIALIZE_NUMPY
Vector = npt.NDArray[np.float32]


def index_payload(
    document: Document, vector: Vector, content_hash: str, *, base64_vectors: bool = False
) -> bytes:
    """Writes the whole document, instead of one that is there.

    Numbers of an array have the fewest digits that give the same float32 back.
    """
    source: dict[str, Any] = {
        **document.fields,
        "rerank_text": document.rerank_text,
        "content_hash": content_hash,
        "vector": encode_base64(vector) if base64_vectors else np.ascontiguousarray(vector),
    }
    action = {"index": {"_id": document.id}}
    return b"%b\n%b\n" % (orjson.dumps(action), orjson.dumps(source, option=_OPTIONS))


def delete_payload(key: str) -> bytes:
    """Deletes a document; one that is not there is no error."""
    return orjson.dumps({"delete": {"_id": key}}) + b"\n"


def encode_base64(vector: Vector) -> str:
    """Little-endian float32, as OpenSearch takes it from 3.8 on."""
    return base64.b64encode(np.ascontiguousarray(vector, "<f4").tobytes()).decode()
