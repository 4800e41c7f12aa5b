"""Parts that the messages of several services share, between protobuf and our types."""

from __future__ import annotations

from collections.abc import Iterable

from rerank_core.engine import Priority
from rerank_core.errors import InputError
from rerank_core.text import clean
from rerank_proto.rerank.v1 import rerank_pb2 as pb
from sidecar.config import Limits
from sidecar.degraded import Degraded
from sidecar.models import AnyServed
from sidecar.ranking import Score
from sidecar.stages import Stages

_MAX_NAME_BYTES = 512

_MAX_UTF8_BYTES = 4
"""Of one character."""

_PRIORITIES = {
    pb.PRIORITY_UNSPECIFIED: Priority.INTERACTIVE,
    pb.PRIORITY_INTERACTIVE: Priority.INTERACTIVE,
    pb.PRIORITY_BATCH: Priority.BATCH,
}


def read_query(query: str, limits: Limits) -> str:
    """The query. Raises `InputError` where it has no word or is too long."""
    check_bytes("query", query, limits.max_query_bytes)
    if not clean(query):
        raise InputError("query", "is empty; send what the shopper typed")
    return query


def check_name(field: str, name: str) -> None:
    """Raises `InputError` for a name that is longer than any of ours."""
    check_bytes(field, name, _MAX_NAME_BYTES)


def read_priority(number: int) -> Priority:
    """The priority. Raises `InputError` for a number that the contract does not have."""
    for known, priority in _PRIORITIES.items():
        if number == known:
            return priority
    raise InputError("priority", f"{number} is none of {', '.join(pb.Priority.keys())}")


def check_bytes(field: str, text: str, limit: int) -> None:
    """Raises `InputError` where a text has more UTF-8 bytes than it may."""
    if len(text) <= bytes_to_spare(limit):
        return
    size = len(text.encode())
    if size > limit:
        raise InputError(field, f"has {size} bytes, more than the {limit} allowed")


def bytes_to_spare(limit: int) -> int:
    """How many characters of any text have no more UTF-8 bytes than that, whichever they are."""
    return limit // _MAX_UTF8_BYTES


def check_count(field: str, count: int, limit: int) -> None:
    """Raises `InputError` where a list is empty or longer than it may be."""
    if count == 0:
        raise InputError(field, "is empty; send at least one")
    if count > limit:
        raise InputError(field, f"has {count} entries, more than the {limit} allowed")


def write_model(served: AnyServed) -> pb.ModelVersion:
    """Which weights computed an answer, and how."""
    model = served.model
    return pb.ModelVersion(id=served.name, hash=model.hash, numeric_path=model.numeric_path)


def write_score(score: Score, rank: int) -> pb.RerankScore:
    """A document's score at its place in the answer."""
    message = pb.RerankScore()
    set_score(message, score, rank)
    return message


def set_score(message: pb.RerankScore, score: Score, rank: int) -> None:
    """The same into a message; field by field takes a third of the time of keyword arguments."""
    message.rank, message.logit = rank, score.logit
    if score.probability is not None:
        message.probability = score.probability


def write_degraded(reasons: Iterable[Degraded]) -> list[pb.DegradedReason.ValueType]:
    """The contract's numbers."""
    return [pb.DegradedReason.Value(f"DEGRADED_REASON_{reason.name}") for reason in reasons]


def write_stages(stages: Stages) -> list[pb.StageTime]:
    """The time of each stage."""
    return [pb.StageTime(stage=name, duration_ms=ms) for name, ms in stages.ms.items()]
