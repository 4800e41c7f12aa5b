"""Rerank's messages: checked on the way in, written on the way out."""

from __future__ import annotations

import math
from collections.abc import Sequence

from rerank_core.engine import Product
from rerank_core.errors import InputError
from rerank_proto.rerank.v1 import rerank_pb2 as pb
from sidecar.config import Limits
from sidecar.ranking import Candidate, Ranking
from sidecar.rerank import RerankTask
from sidecar.stages import Stages
from sidecar.wire import (
    bytes_to_spare,
    check_bytes,
    check_count,
    check_name,
    read_priority,
    read_query,
    set_score,
    write_degraded,
    write_model,
    write_stages,
)

_MAX_ID_BYTES = 512
_MAX_VERSION_BYTES = 128


def read_rerank(message: pb.RerankRequest, limits: Limits) -> RerankTask:
    """The task. Raises `InputError` with the path of the first field that is wrong."""
    query = read_query(message.query, limits)
    check_count("documents", len(message.documents), limits.max_documents)
    if message.top_n < 0:
        raise InputError("top_n", f"is {message.top_n}; 0 means all")
    check_name("model", message.model)
    priority = read_priority(message.priority)
    candidates = _read_documents(message.documents, limits)
    return RerankTask(
        query=query,
        candidates=candidates,
        top_n=message.top_n,
        model=message.model,
        strict=message.strict,
        priority=priority,
    )


def write_ranking(ranking: Ranking, stages: Stages) -> pb.RerankResponse:
    """The answer."""
    response = pb.RerankResponse(
        degraded=write_degraded(ranking.degraded),
        scored=ranking.scored,
        model=write_model(ranking.model) if ranking.model else None,
        stages=write_stages(stages),
    )
    add = response.documents.add
    for candidate, rank, score in ranking.placed:
        message = add()
        message.id, message.index = candidate.id, candidate.index
        message.first_stage_rank = candidate.first_stage_rank
        if candidate.first_stage_score is not None:
            message.first_stage_score = candidate.first_stage_score
        if score is not None:
            set_score(message.rerank, score, rank)
    return response


def _read_documents(documents: Sequence[pb.Document], limits: Limits) -> tuple[Candidate, ...]:
    """A thousand times a call, on the event loop, also where the call is shed a moment later.

    So what nearly all documents are is read here, and the others one by one with what they lack.
    """
    longest_id, longest_text = (
        bytes_to_spare(_MAX_ID_BYTES),
        bytes_to_spare(limits.max_document_bytes),
    )
    candidates = []
    for index, (document, rank) in enumerate(zip(documents, _read_ranks(documents), strict=True)):
        key, text = document.id, document.text
        if (
            0 < len(key) <= longest_id
            and 0 < len(text) <= longest_text
            and not document.version
            and not document.fields
            and not document.HasField("first_stage_score")
        ):
            candidates.append(Candidate(key, index, rank, None, text))
            continue
        try:
            candidates.append(_read_document(document, index, rank, limits))
        except InputError as error:
            raise _repeat(candidates) or error.inside(f"documents[{index}]") from None
    repeat = _repeat(candidates)
    if repeat is not None:
        raise repeat
    return tuple(candidates)


def _repeat(candidates: Sequence[Candidate]) -> InputError | None:
    """What is wrong with the first document that has the key of another."""
    if len({candidate.id for candidate in candidates}) == len(candidates):
        return None
    places: dict[str, int] = {}
    for candidate in candidates:
        first = places.setdefault(candidate.id, candidate.index)
        if first != candidate.index:
            field = f"documents[{candidate.index}].id"
            return InputError(field, f"is that of documents[{first}] too")
    return None


def _read_document(document: pb.Document, index: int, rank: int, limits: Limits) -> Candidate:
    key, version, score = document.id, document.version, None
    if not key:
        raise InputError("id", "is empty; every document needs a key")
    check_bytes("id", key, _MAX_ID_BYTES)
    if version:
        check_bytes("version", version, _MAX_VERSION_BYTES)
    content = _read_content(document, limits.max_document_bytes)
    if document.HasField("first_stage_score"):
        score = document.first_stage_score
        if not math.isfinite(score):
            raise InputError("first_stage_score", f"is {score}; a finite number is needed")
    return Candidate(key, index, rank, score, content)


def _read_content(document: pb.Document, limit: int) -> Product:
    text = document.text
    if bool(text) == bool(document.fields):
        problem = "both are set" if text else "neither is set"
        raise InputError("", f"needs either text or fields; {problem}")
    if text:
        check_bytes("text", text, limit)
        return text
    # As a message, before anything is read: millions of empty values are many bytes, too.
    size = document.ByteSize()
    if size > limit:
        raise InputError("fields", f"make a message of {size} bytes, more than the {limit} allowed")
    return {name: tuple(value.values) for name, value in document.fields.items()}


def _read_ranks(documents: Sequence[pb.Document]) -> list[int]:
    """The first stage's ranks, or the order of the list where no document has one."""
    given = [document.HasField("first_stage_rank") for document in documents]
    if not any(given):
        return list(range(1, len(documents) + 1))
    holders: dict[int, int] = {}
    for index, document in enumerate(documents):
        path, rank = f"documents[{index}].first_stage_rank", document.first_stage_rank
        if not given[index]:
            raise InputError(path, "is not set, but other documents have one: give all or none")
        if rank < 1:
            raise InputError(path, f"is {rank}; the best rank is 1")
        first = holders.setdefault(rank, index)
        if first != index:
            raise InputError(path, f"is {rank}, which is that of documents[{first}] too")
    return list(holders)
