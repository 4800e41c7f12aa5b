"""What a call can raise.

::

    ClientError
    ├── InvalidRequestError     a field is wrong; `violations` says which and why. Without any: the
    │                           request is too large as a whole
    ├── AccessError             no API key, an unknown one, or one that may not do this
    ├── NotFoundError           no model or profile of that name on the server
    ├── PreconditionError       the server's owner must mend something first
    ├── DeadlineExceededError   the time was over before the answer came
    ├── RetryableError          the same call may succeed later, see `retry_after_s`
    │   ├── UnavailableError    the server, or its search cluster, cannot be reached for now
    │   └── OverloadedError     no room for the work now
    └── ServerError             anything else; the server's log knows more
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import Any, ClassVar, TypeVar

import grpc
from google.protobuf.message import DecodeError, Message
from google.rpc import error_details_pb2, status_pb2
from grpc_status import rpc_status

Detail = TypeVar("Detail", bound=Message)


class ClientError(Exception):
    """Root of what a call raises."""

    def __init__(self, message: str, code: grpc.StatusCode, reason: str = "") -> None:
        super().__init__(f"{code.name}: {message}")
        self.code = code
        self.reason = reason
        """The name of the server's own error; empty where the call did not reach it."""

    word: ClassVar[str] = ""
    """In `Ranking.degraded`; empty is the status's own name."""


@dataclass(frozen=True, slots=True)
class FieldViolation:
    """A field of the request by its path, such as ``documents[3].id``, and what is wrong."""

    field: str
    description: str


class InvalidRequestError(ClientError):
    """A field of the request is missing, over a limit, or contradicts another."""

    word = "INVALID_REQUEST"

    violations: tuple[FieldViolation, ...] = ()


class AccessError(ClientError):
    """No API key, one that is not known, or one that may not do this."""


class NotFoundError(ClientError):
    """The server has no model or profile of that name."""

    kind: str = ""
    name: str = ""


class PreconditionError(ClientError):
    """Something behind the server must be mended; the message says what."""


class DeadlineExceededError(ClientError):
    """The time was over before the answer came."""

    word = "DEADLINE"


class RetryableError(ClientError):
    """The same call may succeed later."""

    retry_after_s: float | None = None
    """When, where the server said so."""


class UnavailableError(RetryableError):
    """The server cannot be reached, is starting or stopping, or its cluster is away."""

    word = "UNAVAILABLE"


class OverloadedError(RetryableError):
    """The server has no room for the work now."""

    word = "OVERLOAD"


class ServerError(ClientError):
    """The server failed, or is of another kind."""


# gRPC's own word for a message that one side does not take. No other RESOURCE_EXHAUSTED is the
# request's fault: a proxy that limits rates says so, too, without our details.
_TOO_LARGE = "message larger than max"

_KINDS: dict[grpc.StatusCode, type[ClientError]] = {
    grpc.StatusCode.INVALID_ARGUMENT: InvalidRequestError,
    grpc.StatusCode.NOT_FOUND: NotFoundError,
    grpc.StatusCode.UNAUTHENTICATED: AccessError,
    grpc.StatusCode.PERMISSION_DENIED: AccessError,
    grpc.StatusCode.FAILED_PRECONDITION: PreconditionError,
    grpc.StatusCode.DEADLINE_EXCEEDED: DeadlineExceededError,
    grpc.StatusCode.UNAVAILABLE: UnavailableError,
    # Nobody here cancelled: a server that stops ends so what it has not taken up yet.
    grpc.StatusCode.CANCELLED: UnavailableError,
    grpc.StatusCode.RESOURCE_EXHAUSTED: OverloadedError,
}


def closed() -> ClientError:
    """Of a call through a client that its owner has closed."""
    return UnavailableError("the client is closed; make another", grpc.StatusCode.UNAVAILABLE)


def unreadable() -> ClientError:
    """Of an answer that is no message of the contract."""
    return ServerError("the answer cannot be read", grpc.StatusCode.INTERNAL)


def from_rpc_error(raised: grpc.RpcError) -> ClientError:
    """The error of ours that says what gRPC's says, its `google.rpc` details included."""
    call: Any = raised  # every RpcError of a call is a grpc.Call too
    status = _status(call)
    code: grpc.StatusCode = call.code()
    info = _detail(status, error_details_pb2.ErrorInfo)
    kind = _KINDS.get(code, ServerError)
    if code is grpc.StatusCode.RESOURCE_EXHAUSTED and _TOO_LARGE in (call.details() or ""):
        kind = InvalidRequestError
    error = kind(call.details() or "", code, info.reason)
    if isinstance(error, InvalidRequestError):
        bad = _detail(status, error_details_pb2.BadRequest)
        error.violations = tuple(
            FieldViolation(found.field, found.description) for found in bad.field_violations
        )
    if isinstance(error, NotFoundError):
        resource = _detail(status, error_details_pb2.ResourceInfo)
        error.kind, error.name = resource.resource_type, resource.resource_name
    if isinstance(error, RetryableError):
        retry = _detail(status, error_details_pb2.RetryInfo)
        if retry.HasField("retry_delay"):
            error.retry_after_s = retry.retry_delay.ToMilliseconds() / 1e3
    return error


def _status(call: Any) -> status_pb2.Status:
    """The call's details; empty where they cannot be read or, behind a proxy, say another thing."""
    try:
        return rpc_status.from_call(call) or status_pb2.Status()
    except (ValueError, DecodeError):
        return status_pb2.Status()


def _detail(status: status_pb2.Status, kind: type[Detail]) -> Detail:
    """The detail of that kind, or an empty one."""
    for packed in status.details:
        detail = kind()
        with suppress(DecodeError):
            if packed.Unpack(detail):
                return detail
    return kind()
