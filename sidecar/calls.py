"""The frame of every gRPC call of ours: decoding, errors to statuses."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import ExitStack
from typing import Any, TypeAlias
from urllib.parse import unquote

import grpc
from google.protobuf.descriptor import Descriptor
from google.protobuf.message import DecodeError
from google.rpc import code_pb2

from rerank_core.errors import DeadlineError, InputError, OverloadError
from rerank_proto.rerank.v1 import rerank_pb2 as pb
from sidecar.aside import aside
from sidecar.frame import Frame, Incoming
from sidecar.gate import Gate, Room
from sidecar.service import Context
from sidecar.status import retry_after_ms, to_status
from sidecar.wire_size import check_parts, worth_counting

_PACKAGE = "/rerank.v1."
_DETAILS = "grpc-status-details-bin"
_PUSHBACK = "grpc-retry-pushback-ms"
# Its id and text, or a few dozen fields of four parts each.
_PARTS_A_DOCUMENT = 256
# gRPC keeps what has come of a message to itself. What comes within this time is bounded by the
# network alone; then room is held for all that may come.
_PROMPT_S = 0.5
_GRPC_CODES = {code.value[0]: code for code in grpc.StatusCode}

Handler: TypeAlias = "grpc.RpcMethodHandler[Any, Any]"


class CallFrame(grpc.aio.ServerInterceptor):
    """Lets the services of `rerank.v1` just return or raise.

    A `RerankError` becomes its status; any other exception is logged with its trace and becomes
    INTERNAL. Bytes that are no message are INVALID_ARGUMENT. Every call is one line in the log.
    """

    def __init__(self, frame: Frame) -> None:
        self._frame = frame
        self._streams = Gate()

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Handler | None]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Handler | None:
        """Wraps the unary handlers of our own package, and the streams of health and reflection."""
        handler = await continuation(handler_call_details)
        method = handler_call_details.method
        if handler is None:
            return handler
        if not method.startswith(_PACKAGE):
            return self._bounded(handler)
        service, _, rpc = method.removeprefix(_PACKAGE).partition("/")
        kind = pb.DESCRIPTOR.services_by_name[service].methods_by_name[rpc].input_type
        call = _Call(rpc, kind, handler, self._frame)
        # Decoded inside, so that what cannot be decoded takes the way of every other error. As a
        # stream, which is the same on the wire: a call counts from its headers on, not only once
        # its message is whole.
        return grpc.stream_unary_rpc_method_handler(
            call.answer, request_deserializer=None, response_serializer=handler.response_serializer
        )

    def _bounded(self, handler: Handler) -> Handler:
        """Streams, which last as long as their callers like, in a room beside that of the calls."""
        if not handler.response_streaming:
            return handler
        answer: Any = handler.stream_stream or handler.unary_stream

        async def bounded(asked: Any, context: Context) -> None:
            try:
                with self._streams.inside(self._frame.limits, _address(context.peer())):
                    if inspect.isasyncgenfunction(answer):
                        async for message in answer(asked, context):
                            await context.write(message)
                    else:
                        await answer(asked, context)
            except OverloadError as error:
                await context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, str(error))

        made = (
            grpc.stream_stream_rpc_method_handler
            if handler.request_streaming
            else grpc.unary_stream_rpc_method_handler
        )
        return made(bounded, handler.request_deserializer, handler.response_serializer)


class _Call:
    """One RPC's handler in its frame."""

    def __init__(self, rpc: str, kind: Descriptor, handler: Any, frame: Frame) -> None:
        self._rpc = rpc
        self._kind = kind
        self._decode = handler.request_deserializer
        self._respond = handler.unary_unary
        self._frame = frame

    async def answer(self, messages: AsyncIterator[bytes], context: Context) -> Any:
        headers = {
            name: value
            for name, value in context.invocation_metadata() or ()
            if isinstance(value, str)
        }
        call = Incoming("grpc", self._rpc, headers, _address(context.peer()))
        try:
            with self._frame.around(call) as room:
                content = await _whole(messages, room, self._frame.limits.request_s)
                room.take(len(content))
                if worth_counting(content):
                    most = _PARTS_A_DOCUMENT * self._frame.limits.max_documents
                    await aside(check_parts, content, self._kind, most)
                answer = await self._respond(self._request(content), context)
            # Sent by gRPC, which waits without end for a caller that does not take it.
            taken = room.answered(answer.ByteSize())
            context.add_done_callback(lambda _: taken())  # type: ignore[arg-type]  # its stub
        except Exception as error:  # noqa: BLE001  what passed here, gRPC would tell the caller
            status = to_status(error)
            trailers = [(_DETAILS, status.SerializeToString())]
            after_ms = retry_after_ms(error)
            if status.code == code_pb2.RESOURCE_EXHAUSTED and after_ms is not None:
                trailers.append((_PUSHBACK, str(after_ms)))
            return await context.abort(_GRPC_CODES[status.code], status.message, tuple(trailers))
        else:
            return answer

    def _request(self, content: bytes) -> Any:
        try:
            return self._decode(content)
        except DecodeError as error:
            raise InputError("request", "no message of this RPC, or a text not UTF-8") from error


async def _whole(messages: AsyncIterator[bytes], room: Room, request_s: float) -> bytes:
    """The one message of a call.

    Raises `DeadlineError` where it takes longer to come, `OverloadError` where it is slow and too
    many others are.
    """
    loop = asyncio.get_running_loop()
    refused: list[OverloadError] = []
    with ExitStack() as held:

        def slow() -> None:
            if patience.expired():  # of a `request_s` as short: it has been told so
                return
            try:
                held.enter_context(room.slowly())
            except OverloadError as error:
                refused.append(error)
                patience.reschedule(loop.time())

        timer = loop.call_later(_PROMPT_S, slow)
        try:
            async with asyncio.timeout(request_s) as patience:
                return await anext(messages)
        except TimeoutError as error:
            if refused:
                raise refused[0] from None
            raise DeadlineError(f"the request was not whole within {request_s:g} s") from error
        except StopAsyncIteration as error:
            raise InputError("request", "the call ended without one") from error
        finally:
            timer.cancel()


def _address(peer: str) -> str:
    """The host of ``ipv4:1.2.3.4:5``, ``ipv6:%5B::1%5D:5``; ``unix`` of a socket."""
    kind, _, rest = peer.partition(":")
    if kind not in ("ipv4", "ipv6"):
        return kind
    return unquote(rest).rpartition(":")[0].strip("[]")
