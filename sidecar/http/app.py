"""The HTTP routes: three ways to ask for a rerank, and what operators ask."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any, Generic, TypeVar

from pydantic import ValidationError
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect
from starlette.requests import Request as HttpRequest
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from rerank_core.engine import CrossEncoder, Priority
from rerank_core.errors import InputError, NotReadyError
from sidecar.aside import aside
from sidecar.deadlines import work_deadline
from sidecar.frame import CallerGone, Frame, Incoming, note_stages
from sidecar.gate import Room
from sidecar.health import Health
from sidecar.http import answers
from sidecar.http.answer import Answer
from sidecar.http.openapi import REQUEST_HEADERS, describe
from sidecar.http.shapes import CohereRequest, JinaRequest, Request, TeiRequest
from sidecar.models import Served
from sidecar.ranking import Candidate, Ranking
from sidecar.rerank import RerankTask, note_ranking, note_request, rerank
from sidecar.security.caller import current_caller
from sidecar.service import Ground
from sidecar.stages import Stages
from sidecar.status import http_status, retry_after_ms, to_status
from sidecar.telemetry.metrics import CONTENT_TYPE, Metrics
from sidecar.wire import check_bytes, check_count, check_name, read_query

AnyRequest = TypeVar("AnyRequest", CohereRequest, JinaRequest, TeiRequest)
Choice = TypeVar("Choice")

_BUDGET = "x-envoy-expected-rq-timeout-ms"
"""What Envoy tells a server of the time it has."""
_STRICT = "x-rerank-strict"
_PRIORITY = "x-rerank-priority"
_STRICTNESS = {"false": False, "true": True}
_PRIORITIES = {priority.name.lower(): priority for priority in Priority}
_JSON = "application/json"
_SHORT_BYTES = 256 * 1024
"""Of a request whose answer is written within a few milliseconds."""
_CLIENT_CLOSED = 499


@dataclass(frozen=True, slots=True)
class Shape(Generic[AnyRequest]):
    """How one kind of client asks and is answered."""

    rpc: str
    path: str
    request: type[AnyRequest]
    answer: Callable[[AnyRequest, Ranking], str]
    error: Callable[[Exception, str], str]


SHAPES: tuple[Shape[Any], ...] = (
    Shape("Cohere", "/v2/rerank", CohereRequest, answers.cohere, answers.cohere_error),
    Shape("Jina", "/v1/rerank", JinaRequest, answers.jina, answers.jina_error),
    Shape("TEI", "/rerank", TeiRequest, answers.tei, answers.tei_error),
)


def http_app(ground: Ground, frame: Frame, metrics: Metrics, health: Health) -> Starlette:
    """The routes."""

    async def alive(request: HttpRequest) -> Response:  # noqa: ARG001  Starlette gives it
        return JSONResponse({"status": "ok"})

    async def ready(request: HttpRequest) -> Response:  # noqa: ARG001  as above
        if health.is_serving:
            return JSONResponse({"status": "ready"})
        return JSONResponse({"status": "not ready"}, status_code=503)

    async def numbers(request: HttpRequest) -> Response:  # noqa: ARG001  as above
        return Response(metrics.page(), media_type=CONTENT_TYPE)

    async def openapi(request: HttpRequest) -> Response:  # noqa: ARG001  as above
        return JSONResponse(describe((shape.path, shape.request) for shape in SHAPES))

    return Starlette(
        routes=[
            *(
                Route(shape.path, _Endpoint(shape, ground, frame).answer, methods=["POST"])
                for shape in SHAPES
            ),
            Route("/health", alive),
            Route("/ready", ready),
            Route("/metrics", numbers),
            Route("/openapi.json", openapi),
        ]
    )


class _Endpoint:
    def __init__(self, shape: Shape[Any], ground: Ground, frame: Frame) -> None:
        self._shape = shape
        self._ground = ground
        self._frame = frame

    async def answer(self, request: HttpRequest) -> Response:
        """One rerank, or an error in the words of this kind of client."""
        try:
            with self._frame.around(_incoming(self._shape.rpc, request)) as room:
                body = await _read(request, room)
                async with _while_there(request):
                    response = await self._rerank(request, body, room)
        except CallerGone:
            return PlainTextResponse("", status_code=_CLIENT_CLOSED)  # nobody reads it
        except Exception as error:  # noqa: BLE001  bugs too are told in the client's own shape
            response = self._refusal(error)
        if self._frame.is_stopping:
            response.headers["connection"] = "close"  # the next request is another server's
        return response

    async def _rerank(self, request: HttpRequest, body: bytes, room: Room) -> Response:
        ground, settings, stages = self._ground, self._ground.settings, Stages()
        note_stages(stages)
        with stages.timed("validate"):
            asked = _parse(self._shape.request, body)
            texts = asked.texts
            note_request(len(texts), asked.query, settings)
            deadline = work_deadline(_budget_s(request), settings, len(texts))
            task = replace(
                self._task(asked, texts),
                strict=_chosen(request, _STRICT, _STRICTNESS),
                priority=_chosen(request, _PRIORITY, _PRIORITIES),
            )
        # A connection that is held open learns of a stop by its next answer, so there is one.
        models = _NONE_ANY_MORE if self._frame.is_stopping else ground.models
        ranking = await rerank(task, ground.scorer, models, current_caller.get(), deadline, stages)
        note_ranking(ranking)
        headers = _headers(ranking, stages)
        if len(body) <= _SHORT_BYTES:
            return Answer(self._shape.answer(asked, ranking), headers, room)
        # It may have all the texts.
        content = await aside(lambda: self._shape.answer(asked, ranking).encode())
        return Answer(content, headers, room)

    def _task(self, asked: Request, texts: list[str]) -> RerankTask:
        limits = self._ground.settings.limits
        query = read_query(asked.query, limits)
        check_count("documents", len(texts), limits.max_documents)
        check_name("model", asked.model)
        for index, text in enumerate(texts):
            check_bytes(f"documents[{index}]", text, limits.max_document_bytes)
        candidates = tuple(
            Candidate(str(index), index, index + 1, content=text)
            for index, text in enumerate(texts)
        )
        return RerankTask(query, candidates, asked.top_n or 0, asked.model)

    def _refusal(self, error: Exception) -> Response:
        message, status = to_status(error).message, http_status(error)
        if isinstance(error, InputError) and error.field in REQUEST_HEADERS:
            status = 400  # 422 is a body's
        after_ms = retry_after_ms(error)
        headers = {} if after_ms is None else {"retry-after": str(math.ceil(after_ms / 1e3))}
        if status == 401:
            headers["www-authenticate"] = "Bearer"
        return Response(self._shape.error(error, message), status, headers, _JSON)


@asynccontextmanager
async def _while_there(request: HttpRequest) -> AsyncIterator[None]:
    """Cancels the block where the client closes its connection; then raises `CallerGone`."""
    task = asyncio.current_task()
    gone = False

    async def watch() -> None:
        nonlocal gone
        while (await request.receive())["type"] != "http.disconnect":
            pass
        gone = True
        if task is not None:
            task.cancel()

    watcher = asyncio.create_task(watch())
    try:
        yield
    except asyncio.CancelledError:
        if gone and task is not None and not task.uncancel():
            raise CallerGone from None
        raise
    finally:
        watcher.cancel()


class _Leaving:
    """The models of a server that stops."""

    def reranker(self, name: str = "") -> Served[CrossEncoder]:  # noqa: ARG002  the protocol's
        """None. Raises `NotReadyError`."""
        raise NotReadyError("the server is stopping; ask another one")


_NONE_ANY_MORE = _Leaving()


def _incoming(rpc: str, request: HttpRequest) -> Incoming:
    address = request.client.host if request.client else "unix"
    return Incoming("http", rpc, request.headers, address, last=True)


async def _read(request: HttpRequest, room: Room) -> bytes:
    """The body. Room is taken as it comes: what a slow client only promises keeps nobody out.

    Raises `TooLargeError`, `OverloadError`, `CallerGone`.
    """
    declared = request.headers.get("content-length", "")
    if declared.isascii() and declared.isdecimal():
        room.fits(int(declared))
    parts = []
    try:
        async for part in request.stream():
            room.take(len(part))
            parts.append(part)
    except ClientDisconnect as error:
        raise CallerGone from error
    return b"".join(parts)


def _parse(kind: type[AnyRequest], body: bytes) -> AnyRequest:
    try:
        return kind.model_validate_json(body)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        path = ".".join(str(part) for part in first["loc"]) or "body"
        raise InputError(path, first["msg"]) from error


def _budget_s(request: HttpRequest) -> float | None:
    """What the caller says that it has left; None where it does not. Raises `InputError`."""
    told = request.headers.get(_BUDGET)
    if told is None:
        return None
    if not (told.isascii() and told.isdecimal() and len(told) < 10):
        raise InputError(_BUDGET, f"is {told[:50]!r}; whole milliseconds are needed")
    return int(told) / 1e3


def _chosen(request: HttpRequest, header: str, choices: Mapping[str, Choice]) -> Choice:
    """What a header says, the first of the choices if it is absent. Raises `InputError`."""
    told = request.headers.get(header, next(iter(choices)))
    if told not in choices:
        raise InputError(header, f"is {told[:50]!r}; it may be {' or '.join(choices)}")
    return choices[told]


def _headers(ranking: Ranking, stages: Stages) -> dict[str, str]:
    headers = {
        "x-rerank-scored": str(ranking.scored),
        "server-timing": ", ".join(f"{name};dur={ms:.3f}" for name, ms in stages.ms.items()),
    }
    if ranking.degraded:
        headers["x-rerank-degraded"] = ",".join(reason.name for reason in ranking.degraded)
    if ranking.model is not None:
        headers["x-rerank-model"] = ranking.model.model.hash
        headers["x-rerank-numeric-path"] = ranking.model.model.numeric_path
    return headers
