"""Our errors as statuses: gRPC's with `google.rpc` details, and HTTP's beside them."""

from __future__ import annotations

from typing import NamedTuple

from google.protobuf import any_pb2, duration_pb2
from google.protobuf.message import Message
from google.rpc import code_pb2, error_details_pb2, status_pb2

from rerank_core import errors

DOMAIN = "rerank-sidecar"
"""Of every `ErrorInfo`; the contract names it."""

# A status travels as a trailer, several times over (message, message in the details, description)
# and percent-encoded, and peers refuse trailers of more than 8 KiB together.
_MAX_TEXT_BYTES = 512


class _Answer(NamedTuple):
    code: code_pb2.Code
    http: int
    retry_after_ms: int | None = None
    """Where coming back helps: when."""


_ANSWERS: dict[type[Exception], _Answer] = {
    errors.InputError: _Answer(code_pb2.INVALID_ARGUMENT, 422),
    errors.TooLargeError: _Answer(code_pb2.INVALID_ARGUMENT, 413),
    errors.NotFoundError: _Answer(code_pb2.NOT_FOUND, 404),
    errors.NotReadyError: _Answer(code_pb2.UNAVAILABLE, 503, retry_after_ms=1000),
    errors.OverloadError: _Answer(code_pb2.RESOURCE_EXHAUSTED, 429, retry_after_ms=100),
    errors.QuotaError: _Answer(code_pb2.RESOURCE_EXHAUSTED, 429, retry_after_ms=1000),
    errors.UnauthenticatedError: _Answer(code_pb2.UNAUTHENTICATED, 401),
    errors.ForbiddenError: _Answer(code_pb2.PERMISSION_DENIED, 403),
    errors.DeadlineError: _Answer(code_pb2.DEADLINE_EXCEEDED, 504),
    errors.ScoringError: _Answer(code_pb2.INTERNAL, 500),
    errors.ConfigError: _Answer(code_pb2.FAILED_PRECONDITION, 500),
    errors.ArtifactError: _Answer(code_pb2.FAILED_PRECONDITION, 500),
    errors.ReleaseError: _Answer(code_pb2.FAILED_PRECONDITION, 500),
    errors.ToolMissingError: _Answer(code_pb2.FAILED_PRECONDITION, 500),
    errors.ClusterUnavailable: _Answer(code_pb2.UNAVAILABLE, 503, retry_after_ms=1000),
    errors.ClusterTimeout: _Answer(code_pb2.DEADLINE_EXCEEDED, 504),
    errors.ClusterRefused: _Answer(code_pb2.FAILED_PRECONDITION, 502),
}


def to_status(error: Exception) -> status_pb2.Status:
    """The status of an error. One that is not ours becomes INTERNAL and tells nothing."""
    if type(error) not in _ANSWERS:
        return status_pb2.Status(
            code=code_pb2.INTERNAL, message="internal error; the server's log has it"
        )
    answer = _ANSWERS[type(error)]
    details: list[Message] = [
        error_details_pb2.ErrorInfo(reason=type(error).__name__, domain=DOMAIN)
    ]
    if isinstance(error, errors.InputError):
        violation = error_details_pb2.BadRequest.FieldViolation(
            field=_cut(error.field), description=_cut(error.problem)
        )
        details.append(error_details_pb2.BadRequest(field_violations=[violation]))
    if isinstance(error, errors.NotFoundError):
        details.append(
            error_details_pb2.ResourceInfo(resource_type=error.kind, resource_name=_cut(error.name))
        )
    if isinstance(error, errors.QuotaError):
        failure = error_details_pb2.QuotaFailure.Violation(description=_cut(str(error)))
        details.append(error_details_pb2.QuotaFailure(violations=[failure]))
    if (after_ms := retry_after_ms(error)) is not None:
        delay = duration_pb2.Duration()
        delay.FromMilliseconds(after_ms)
        details.append(error_details_pb2.RetryInfo(retry_delay=delay))
    return status_pb2.Status(
        code=answer.code, message=_cut(str(error)), details=[_pack(detail) for detail in details]
    )


def retry_after_ms(error: Exception) -> int | None:
    """When to come back; None where that does not help."""
    if isinstance(error, errors.QuotaError):
        return error.retry_after_ms
    answer = _ANSWERS.get(type(error))
    return None if answer is None else answer.retry_after_ms


def http_status(error: Exception) -> int:
    """The same over HTTP."""
    answer = _ANSWERS.get(type(error))
    return 500 if answer is None else answer.http


def _pack(detail: Message) -> any_pb2.Any:
    packed = any_pb2.Any()
    packed.Pack(detail)
    return packed


def _cut(text: str) -> str:
    if len(text.encode()) <= _MAX_TEXT_BYTES:
        return text
    return text.encode()[:_MAX_TEXT_BYTES].decode(errors="ignore") + "…"
