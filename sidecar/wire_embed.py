"""Embed's messages."""

from __future__ import annotations

from dataclasses import dataclass

from rerank_core.engine import BiEncoder, Priority, Vectors
from rerank_proto.rerank.v1 import rerank_pb2 as pb
from sidecar.config import Limits
from sidecar.models import Served
from sidecar.stages import Stages
from sidecar.wire import (
    check_bytes,
    check_count,
    check_name,
    read_priority,
    write_model,
    write_stages,
)


@dataclass(frozen=True, slots=True)
class EmbedTask:
    """A checked request."""

    texts: tuple[str, ...]
    model: str
    """Empty: the default bi-encoder."""
    priority: Priority


def read_embed(message: pb.EmbedRequest, limits: Limits) -> EmbedTask:
    """The task. Raises `InputError` with the path of the first field that is wrong."""
    check_name("model", message.model)
    check_count("texts", len(message.texts), limits.max_texts)
    for index, text in enumerate(message.texts):
        check_bytes(f"texts[{index}]", text, limits.max_document_bytes)
    return EmbedTask(tuple(message.texts), message.model, read_priority(message.priority))


def write_vectors(vectors: Vectors, encoder: Served[BiEncoder], stages: Stages) -> pb.EmbedResponse:
    """The answer; `vectors` is ``(texts, dimensions)``."""
    return pb.EmbedResponse(
        vectors=[pb.Vector(values=row) for row in vectors.tolist()],
        model=write_model(encoder),
        stages=write_stages(stages),
    )
