"""What gRPC raises comes out as one small tree of the client's own."""

from __future__ import annotations

import grpc
import pytest
from google.protobuf import any_pb2
from google.rpc import error_details_pb2, status_pb2

from rerank_client import (
    AccessError,
    ClientError,
    DeadlineExceededError,
    FieldViolation,
    InvalidRequestError,
    NotFoundError,
    OverloadedError,
    PreconditionError,
    ServerError,
    UnavailableError,
)
from rerank_client.errors import from_rpc_error
from rerank_core.errors import InputError, NotReadyError, OverloadError
from rerank_core.errors import NotFoundError as CoreNotFoundError
from sidecar.status import to_status

CODES = {code.value[0]: code for code in grpc.StatusCode}


def _raised(status):
    """What a channel raises for a status with details."""
    trailer = ("grpc-status-details-bin", status.SerializeToString())
    return grpc.aio.AioRpcError(
        CODES[status.code], grpc.aio.Metadata(), grpc.aio.Metadata(trailer), status.message
    )


@pytest.mark.parametrize("code", [code for code in grpc.StatusCode if code.value[0]])
def test_every_status_becomes_an_error_of_ours(code):
    """Also statuses that the sidecar never sends: a proxy may. Details are not needed."""
    kinds = {
        grpc.StatusCode.INVALID_ARGUMENT: InvalidRequestError,
        grpc.StatusCode.NOT_FOUND: NotFoundError,
        grpc.StatusCode.UNAUTHENTICATED: AccessError,
        grpc.StatusCode.PERMISSION_DENIED: AccessError,
        grpc.StatusCode.FAILED_PRECONDITION: PreconditionError,
        grpc.StatusCode.DEADLINE_EXCEEDED: DeadlineExceededError,
        grpc.StatusCode.UNAVAILABLE: UnavailableError,
        grpc.StatusCode.CANCELLED: UnavailableError,
        grpc.StatusCode.RESOURCE_EXHAUSTED: OverloadedError,
    }
    bare = grpc.aio.AioRpcError(code, grpc.aio.Metadata(), grpc.aio.Metadata(), "why")
    error = from_rpc_error(bare)
    assert type(error) is kinds.get(code, ServerError)
    assert isinstance(error, ClientError)
    assert (error.code, error.reason, str(error)) == (code, "", f"{code.name}: why")


def test_a_request_that_is_too_large_is_the_callers_fault():
    """By gRPC's own word, that no server of ours sends: coming back does not help."""
    told = "SERVER: Received message larger than max (9000042 vs. 4194304)"
    bare = grpc.aio.AioRpcError(
        grpc.StatusCode.RESOURCE_EXHAUSTED, grpc.aio.Metadata(), grpc.aio.Metadata(), told
    )
    assert type(from_rpc_error(bare)) is InvalidRequestError


def test_the_servers_details_arrive():
    """As attributes, so that no program reads messages."""
    bad = from_rpc_error(_raised(to_status(InputError("documents[3].id", "is empty"))))
    assert bad.violations == (FieldViolation("documents[3].id", "is empty"),)
    assert bad.reason == "InputError"
    busy = from_rpc_error(_raised(to_status(OverloadError("no room"))))
    assert isinstance(busy, OverloadedError)
    assert busy.retry_after_s == 0.1
    missing = from_rpc_error(_raised(to_status(CoreNotFoundError("profile", "shop"))))
    assert (missing.kind, missing.name) == ("profile", "shop")
    away = from_rpc_error(_raised(to_status(NotReadyError("loading"))))
    assert away.retry_after_s == 1.0


def test_details_of_a_kind_that_is_not_known_are_no_obstacle():
    """Servers grow."""
    unknown = any_pb2.Any(type_url="type.googleapis.com/rerank.v9.Wonder", value=b"\x01")
    info = any_pb2.Any()
    info.Pack(error_details_pb2.ErrorInfo(reason="NewError", domain="rerank-sidecar"))
    status = status_pb2.Status(code=14, message="away", details=[unknown, info])
    error = from_rpc_error(_raised(status))
    assert isinstance(error, UnavailableError)
    assert (error.reason, error.retry_after_s) == ("NewError", None)


@pytest.mark.parametrize(
    "details",
    [
        to_status(OverloadError("no room")).SerializeToString(),  # of a status that a proxy changed
        status_pb2.Status(code=14, message="another").SerializeToString(),
        b"no protobuf",
        status_pb2.Status(
            code=14,
            message="away",
            details=[
                any_pb2.Any(type_url="type.googleapis.com/google.rpc.ErrorInfo", value=b"\xff")
            ],
        ).SerializeToString(),
    ],
    ids=["another status", "another message", "no status", "a broken detail"],
)
def test_details_that_do_not_fit_the_status_are_none(details):
    """A proxy changes the one and keeps the other; the status is what holds."""
    trailers = grpc.aio.Metadata(("grpc-status-details-bin", details))
    away = grpc.aio.AioRpcError(grpc.StatusCode.UNAVAILABLE, grpc.aio.Metadata(), trailers, "away")
    error = from_rpc_error(away)
    assert isinstance(error, UnavailableError)
    assert (str(error), error.reason, error.retry_after_s) == ("UNAVAILABLE: away", "", None)
