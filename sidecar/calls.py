"""What surrounds every call of ours: decoding, errors to statuses, one log line."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any, TypeAlias

import grpc
import structlog
from google.protobuf.message import DecodeError
from google.rpc import code_pb2

from rerank_core.errors import ClusterError, InputError, RerankError
from sidecar.gate import Gate
from sidecar.service import Context
from sidecar.status import to_status

_log = structlog.get_logger()

_PACKAGE = "/rerank.v1."
_DETAILS = "grpc-status-details-bin"
_GRPC_CODES = {code.value[0]: code for code in grpc.StatusCode}

Handler: TypeAlias = "grpc.RpcMethodHandler[Any, Any]"


def note(**facts: object) -> None:
    """Adds facts to the log line of the call that is being answered; never texts of a caller."""
    structlog.contextvars.bind_contextvars(**facts)


def _told(error: RerankError, message: str) -> str:
    """What the log says of an error. A cluster's reason may quote the query: its kind alone."""
    return type(error).__name__ if isinstance(error, ClusterError) else message


class CallFrame(grpc.aio.ServerInterceptor):
    """Lets the services of `rerank.v1` just return or raise.

    A `RerankError` becomes its status; any other exception is logged with its trace and becomes
    INTERNAL. Bytes that are no message are INVALID_ARGUMENT. Every call is one line in the log.
    """

    def __init__(self, gate: Gate) -> None:
        self._gate = gate

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Handler | None]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Handler | None:
        """Wraps the unary handlers of our own package; health and reflection pass."""
        handler = await continuation(handler_call_details)
        method = handler_call_details.method
        if handler is None or not method.startswith(_PACKAGE):
            return handler
        call = _Call(method.rpartition("/")[2], handler, self._gate)
        # Decoded inside, so that what cannot be decoded takes the way of every other error.
        return grpc.unary_unary_rpc_method_handler(
            call.answer, request_deserializer=None, response_serializer=handler.response_serializer
        )


class _Call:
    """One RPC's handler in its frame."""

    def __init__(self, rpc: str, handler: Any, gate: Gate) -> None:
        self._rpc = rpc
        self._decode = handler.request_deserializer
        self._respond = handler.unary_unary
        self._gate = gate

    async def answer(self, content: bytes, context: Context) -> Any:
        # Each call runs in a task of its own, so its facts are not another call's.
        structlog.contextvars.clear_contextvars()
        began = time.perf_counter()
        try:
            with self._gate.inside():
                response = await self._respond(self._request(content), context)
        except asyncio.CancelledError:
            self._log(began, "CANCELLED")
            raise
        except RerankError as error:
            status = to_status(error)
            self._log(began, code_pb2.Code.Name(status.code), error=_told(error, status.message))
        except Exception as error:  # noqa: BLE001  what passed here, gRPC would tell the caller
            status = to_status(error)
            _log.exception("bug", rpc=self._rpc)
            self._log(began, code_pb2.Code.Name(status.code))
        else:
            self._log(began, "OK")
            return response
        return await context.abort(
            _GRPC_CODES[status.code], status.message, ((_DETAILS, status.SerializeToString()),)
        )

    def _request(self, content: bytes) -> Any:
        try:
            return self._decode(content)
        except DecodeError as error:
            raise InputError("request", "no message of this RPC, or a text not UTF-8") from error

    def _log(self, began: float, status: str, **facts: object) -> None:
        total_ms = round((time.perf_counter() - began) * 1e3, 3)
        _log.info("call", rpc=self._rpc, status=status, total_ms=total_ms, **facts)
