"""One request over a real connection, and what became of it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, NamedTuple, Protocol

import grpc
import grpc.aio
import httpx

from benchmarks.load.plan import Surface
from benchmarks.load.samples import Outcome
from rerank_proto.rerank.v1 import rerank_pb2 as pb

METHOD = "/rerank.v1.RerankService/Rerank"
_PATH = "/v2/rerank"
_BUDGET = "x-envoy-expected-rq-timeout-ms"
_DEGRADED = "x-rerank-degraded"
_SCORED = "x-rerank-scored"
_ENGINE = ("queue", "tokenize", "score")
_GRACE_S = 30.0
"""For late answers, which are to be seen as late."""


class Answer(NamedTuple):
    """What became of a request."""

    outcome: Outcome
    detail: str = ""
    """Why it is less than all."""
    scored: int = 0
    engine_ms: float = 0.0
    """Queueing, tokenising and scoring, where the answer tells."""


class Asker(Protocol):
    """Sends prepared bodies; safe to use for many at once in one event loop."""

    async def ask(self, body: bytes) -> Answer:
        """What became of it; an error is an answer, too."""


def body(surface: Surface, query: str, texts: Sequence[str], *, batch: bool = False) -> bytes:
    """A request as bytes, so that asking costs the client little.

    `batch` is the lower priority; over HTTP there is none to give.
    """
    if surface == "grpc":
        documents = [pb.Document(id=str(n), text=text) for n, text in enumerate(texts)]
        priority = pb.PRIORITY_BATCH if batch else pb.PRIORITY_INTERACTIVE
        return pb.RerankRequest(
            query=query, documents=documents, priority=priority
        ).SerializeToString()
    return httpx.Request(
        "POST", "http://server", json={"model": "", "query": query, "documents": list(texts)}
    ).content


@asynccontextmanager
async def asker(surface: Surface, target: str, budget_ms: float) -> AsyncIterator[Asker]:
    """A connection that is there before the first request."""
    if surface == "grpc":
        async with grpc.aio.insecure_channel(target) as channel:
            await channel.channel_ready()
            yield _Grpc(channel, budget_ms)
    else:
        limits = httpx.Limits(max_connections=None, max_keepalive_connections=None)
        async with httpx.AsyncClient(
            base_url=f"http://{target}",
            limits=limits,
            timeout=budget_ms / 1e3 + _GRACE_S,
            trust_env=False,
        ) as client:
            await client.get("/health")
            yield _Http(client, budget_ms)


class _Grpc:
    def __init__(self, channel: grpc.aio.Channel, budget_ms: float) -> None:
        self._rerank: Any = channel.unary_unary(METHOD)  # bytes in, bytes out
        self._timeout_s = budget_ms / 1e3

    async def ask(self, body: bytes) -> Answer:
        try:
            content = await self._rerank(body, timeout=self._timeout_s)
        except grpc.aio.AioRpcError as error:
            return Answer("error", error.code().name)
        response = pb.RerankResponse.FromString(content)
        reasons = ",".join(pb.DegradedReason.Name(reason) for reason in response.degraded)
        engine_ms = sum(one.duration_ms for one in response.stages if one.stage in _ENGINE)
        return Answer("degraded" if reasons else "full", reasons, response.scored, engine_ms)


class _Http:
    def __init__(self, client: httpx.AsyncClient, budget_ms: float) -> None:
        self._client = client
        self._headers = {
            "content-type": "application/json",
            _BUDGET: str(max(1, round(budget_ms))),
        }

    async def ask(self, body: bytes) -> Answer:
        try:
            answer = await self._client.post(_PATH, content=body, headers=self._headers)
        except httpx.HTTPError as error:
            return Answer("error", type(error).__name__)
        if answer.is_error:
            return Answer("error", str(answer.status_code))
        reasons = answer.headers.get(_DEGRADED, "")
        scored = int(answer.headers.get(_SCORED, 0))
        return Answer("degraded" if reasons else "full", reasons, scored)
