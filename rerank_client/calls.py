"""The calls, as data: what to send, how to read what comes back."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Generic, TypeVar

import grpc

from rerank_client.answers import Embedding, ModelDescription, Ranking, SearchResult
from rerank_client.asking import Document, Filter, Priority
from rerank_client.errors import ClientError, InvalidRequestError
from rerank_client.fallback import first_stage
from rerank_client.reading import read_embedding, read_model, read_ranking, read_search
from rerank_proto.rerank.v1 import rerank_pb2 as pb
from rerank_proto.rerank.v1 import rerank_pb2_grpc as pb_grpc

Answer = TypeVar("Answer")

_PRIORITIES = {
    Priority.INTERACTIVE: pb.PRIORITY_INTERACTIVE,
    Priority.BATCH: pb.PRIORITY_BATCH,
}


_LONGEST_S = 365 * 86_400.0

# JSON can hold one half of a pair, UTF-8 cannot.
_LONE_SURROGATE = re.compile("[\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class Call(Generic[Answer]):
    """One call, ready to be sent over a channel of either kind."""

    rpc: str
    request: Any
    """Or the `ClientError` that kept it from being made."""
    read: Callable[[Any], Answer]
    timeout_s: float | None
    """None: the client's."""
    fallback: Callable[[ClientError], Answer] | None = None
    """The answer where the server gives none; None: its error is raised."""

    def instead(self, error: ClientError) -> Answer:
        """The answer where this came in place of one. Raises it where there is none."""
        if self.fallback is None:
            raise error
        return self.fallback(error)


def seconds(timeout_s: float | None) -> float | None:
    """A timeout as gRPC can count it: of more than a year it would make none at all.

    Raises `ValueError` for what is not a number, `TypeError` for another type.
    """
    if timeout_s is None:
        return None
    if math.isnan(timeout_s):
        raise ValueError("timeout_s: is nan; seconds are needed, or None")
    return min(timeout_s, _LONGEST_S)


def rpcs(channel: Any) -> dict[str, Any]:
    """The RPCs of a channel, blocking or asynchronous as the channel is."""
    return {
        "Rerank": pb_grpc.RerankServiceStub(channel).Rerank,
        "Embed": pb_grpc.EmbedServiceStub(channel).Embed,
        "Search": pb_grpc.SearchServiceStub(channel).Search,
        "ModelInfo": pb_grpc.ModelServiceStub(channel).ModelInfo,
    }


def rerank(
    query: str,
    documents: Iterable[Document],
    *,
    top_n: int = 0,
    model: str = "",
    strict: bool = False,
    priority: Priority = Priority.INTERACTIVE,
    timeout_s: float | None = None,
) -> Call[Ranking]:
    """Orders `documents` by their relevance to `query`; `top_n` 0 keeps all.

    Always an order of the documents, whatever fails, within the timeout: what was not scored
    follows in first-stage order, and `degraded` says why. With `strict` all of that is raised, and
    `ValueError`, `TypeError` or `AttributeError` for what cannot be sent.
    """
    documents = tuple(documents)
    fallback = partial(first_stage, documents, top_n)
    try:
        timeout_s = seconds(timeout_s)
        request = pb.RerankRequest(
            query=_sendable(query),
            documents=[_document(item, index) for index, item in enumerate(documents)],
            top_n=top_n,
            model=model,
            strict=strict,
            priority=_PRIORITIES[Priority(priority)],
        )
    except (TypeError, ValueError, AttributeError) as error:  # a value is of another type
        if strict:
            raise
        unsendable = InvalidRequestError(str(error), grpc.StatusCode.INVALID_ARGUMENT)
        return Call("Rerank", unsendable, read_ranking, None, fallback)
    return Call("Rerank", request, read_ranking, timeout_s, None if strict else fallback)


def embed(
    texts: Sequence[str],
    *,
    model: str = "",
    priority: Priority = Priority.INTERACTIVE,
    timeout_s: float | None = None,
) -> Call[Embedding]:
    """One vector a text."""
    request = pb.EmbedRequest(
        texts=[_sendable(text) for text in _several("texts", texts)],
        model=model,
        priority=_PRIORITIES[Priority(priority)],
    )
    return Call("Embed", request, read_embedding, seconds(timeout_s))


def search(  # noqa: PLR0913  the contract's fields, all but two of them optional
    profile: str,
    query: str,
    *,
    page_size: int = 0,
    page_token: str = "",
    filters: Sequence[Filter] = (),
    facets: Sequence[str] = (),
    parameters: Mapping[str, str] | None = None,
    explain: bool = False,
    strict: bool = False,
    priority: Priority = Priority.INTERACTIVE,
    timeout_s: float | None = None,
) -> Call[SearchResult]:
    """Searches by one of the server's profiles; `page_size` 0 is the profile's."""
    request = pb.SearchRequest(
        profile=profile,
        query=_sendable(query),
        page_size=page_size,
        page_token=page_token,
        filters=[_filter(item) for item in filters],
        facets=_several("facets", facets),
        parameters=parameters or {},
        explain=explain,
        strict=strict,
        priority=_PRIORITIES[Priority(priority)],
    )
    return Call("Search", request, read_search, seconds(timeout_s))


def model_info(model: str = "", *, timeout_s: float | None = None) -> Call[ModelDescription]:
    """Describes a model of the server; empty is the default cross-encoder."""
    request = pb.ModelInfoRequest(model=model)
    return Call("ModelInfo", request, read_model, seconds(timeout_s))


def _document(document: Document, index: int) -> pb.Document:
    if _LONE_SURROGATE.search(document.id):
        raise ValueError(
            f"documents[{index}].id: {document.id!r} has half of a surrogate pair and cannot be "
            "sent as UTF-8; give the document another key"
        )
    return pb.Document(
        id=document.id,
        text=_sendable(document.text),
        fields={name: _field(value) for name, value in document.fields.items()},
        version=document.version,
        first_stage_score=document.first_stage_score,
        first_stage_rank=document.first_stage_rank,
    )


def _field(value: str | Sequence[str]) -> pb.FieldValue:
    values = [value] if isinstance(value, str) else value
    return pb.FieldValue(values=[_sendable(item) for item in values])


def _several(name: str, values: Sequence[str]) -> Sequence[str]:
    """`values`; a string is a sequence of strings, too, and never meant so."""
    if isinstance(values, str):
        raise ValueError(f"{name}: is the one string {values!r}; give a list")  # noqa: TRY004
    return values


def _sendable(text: str) -> str:
    """Lone surrogates, which cannot be sent, as the space that the server makes of them anyway."""
    return _LONE_SURROGATE.sub(" ", text)


def _filter(condition: Filter) -> pb.Filter:
    has_range = condition.at_least is not None or condition.below is not None
    if condition.any_of and has_range:
        raise ValueError(
            f"filter {condition.field!r}: has values and a range; give each a filter of its own"
        )
    if condition.any_of:
        values = _several("any_of", condition.any_of)
        return pb.Filter(field=condition.field, any_of=pb.Values(values=values))
    ends = pb.Range(at_least=condition.at_least, below=condition.below)
    return pb.Filter(field=condition.field, range=ends)
