"""Every error of ours has one gRPC status, with the details that the contract names."""

from __future__ import annotations

import grpc
import pytest
from google.rpc import code_pb2, error_details_pb2

from rerank_client.errors import from_rpc_error
from rerank_core import errors
from rerank_proto.rerank.v1 import rerank_pb2 as pb
from rerank_proto.rerank.v1 import rerank_pb2_grpc as pb_grpc
from sidecar import status
from sidecar.config import Settings
from sidecar.frame import Frame
from sidecar.gate import Gate
from sidecar.health import Health
from sidecar.listener import listening
from sidecar.live import Live, Standing
from sidecar.service import Service
from sidecar.telemetry.metrics import Metrics
from sidecar.telemetry.traces import NoTraces


def _leaves(kind):
    children = kind.__subclasses__()
    return [leaf for child in children for leaf in _leaves(child)] if children else [kind]


def _example(kind):
    if kind is errors.InputError:
        return kind("documents[3].id", "is empty")
    if kind is errors.NotFoundError:
        return kind("profile", "shop", ("a", "b"))
    if kind is errors.QuotaError:
        return kind("too much", 250)
    if kind is errors.ClusterRefused:
        return kind("the cluster said no", 400)
    return kind("what happened and the mend")


def _details(found):
    kinds = (
        error_details_pb2.ErrorInfo,
        error_details_pb2.BadRequest,
        error_details_pb2.ResourceInfo,
        error_details_pb2.RetryInfo,
        error_details_pb2.QuotaFailure,
    )
    unpacked = {}
    for packed in found.details:
        for kind in kinds:
            detail = kind()
            if packed.Unpack(detail):
                unpacked[kind.__name__] = detail
    return unpacked


@pytest.mark.parametrize("kind", _leaves(errors.RerankError), ids=lambda kind: kind.__name__)
def test_every_leaf_of_the_error_tree_has_a_status(kind):
    """A new error without a status would tell the caller INTERNAL and nothing else."""
    found = status.to_status(_example(kind))
    info = _details(found)["ErrorInfo"]
    assert (info.reason, info.domain) == (kind.__name__, "rerank-sidecar")
    assert found.message == str(_example(kind))


STATUSES = {
    errors.InputError: (code_pb2.INVALID_ARGUMENT, 422),
    errors.TooLargeError: (code_pb2.INVALID_ARGUMENT, 413),
    errors.NotFoundError: (code_pb2.NOT_FOUND, 404),
    errors.NotReadyError: (code_pb2.UNAVAILABLE, 503),
    errors.OverloadError: (code_pb2.RESOURCE_EXHAUSTED, 429),
    errors.QuotaError: (code_pb2.RESOURCE_EXHAUSTED, 429),
    errors.UnauthenticatedError: (code_pb2.UNAUTHENTICATED, 401),
    errors.ForbiddenError: (code_pb2.PERMISSION_DENIED, 403),
    errors.DeadlineError: (code_pb2.DEADLINE_EXCEEDED, 504),
    errors.ScoringError: (code_pb2.INTERNAL, 500),
    errors.ConfigError: (code_pb2.FAILED_PRECONDITION, 500),
    errors.ArtifactError: (code_pb2.FAILED_PRECONDITION, 500),
    errors.ReleaseError: (code_pb2.FAILED_PRECONDITION, 500),
    errors.ToolMissingError: (code_pb2.FAILED_PRECONDITION, 500),
    errors.ClusterUnavailable: (code_pb2.UNAVAILABLE, 503),
    errors.ClusterTimeout: (code_pb2.DEADLINE_EXCEEDED, 504),
    errors.ClusterRefused: (code_pb2.FAILED_PRECONDITION, 502),
}


@pytest.mark.parametrize("kind", _leaves(errors.RerankError), ids=lambda kind: kind.__name__)
def test_the_statuses_are_the_contracts(kind):
    """What `rerank.proto` and the OpenAPI page promise, for every leaf of the tree."""
    error = _example(kind)
    assert (status.to_status(error).code, status.http_status(error)) == STATUSES[kind]


class _Raising(pb_grpc.ModelServiceServicer):
    """Raises the leaf of the tree that the caller names."""

    async def ModelInfo(self, request, context):  # noqa: ARG002, N802  the contract's name
        """See the contract."""
        raise _example(getattr(errors, request.model))


async def test_every_leaf_comes_over_the_wire_as_its_status():
    """Raised in a service of the real server: code, message, details and pushback of a real call.

    And the client has an error of its own for it, with its reason.
    """
    live, gate, health = Live(Standing.read(Settings(port=0))), Gate(), Health(())
    frame = Frame(live, gate, Metrics(), NoTraces())
    service = Service.of("ModelService", pb_grpc.add_ModelServiceServicer_to_server, _Raising())
    async with (
        listening(live, [service], frame, gate, health) as port,
        grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel,
    ):
        for kind in _leaves(errors.RerankError):
            with pytest.raises(grpc.aio.AioRpcError) as raised:
                await pb_grpc.ModelServiceStub(channel).ModelInfo(
                    pb.ModelInfoRequest(model=kind.__name__)
                )
            error, expected = raised.value, status.to_status(_example(kind))
            assert error.code().value[0] == STATUSES[kind][0], kind
            assert error.details() == str(_example(kind))
            trailers = dict(error.trailing_metadata())
            assert trailers["grpc-status-details-bin"] == expected.SerializeToString()
            exhausted = error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
            assert ("grpc-retry-pushback-ms" in trailers) == exhausted
            read = from_rpc_error(error)
            assert (read.reason, read.code) == (kind.__name__, error.code())
        assert gate.calls == 0


def test_details_name_the_field_the_resource_and_when_to_come_back():
    """A program can act on them without reading the message."""
    bad = _details(status.to_status(_example(errors.InputError)))["BadRequest"]
    (violation,) = bad.field_violations
    assert (violation.field, violation.description) == ("documents[3].id", "is empty")
    resource = _details(status.to_status(_example(errors.NotFoundError)))["ResourceInfo"]
    assert (resource.resource_type, resource.resource_name) == ("profile", "shop")
    retry = _details(status.to_status(_example(errors.OverloadError)))["RetryInfo"]
    assert retry.retry_delay.ToMilliseconds() == 100
    quota = _details(status.to_status(_example(errors.QuotaError)))
    assert quota["RetryInfo"].retry_delay.ToMilliseconds() == 250
    assert quota["QuotaFailure"].violations[0].description == "too much"


def test_only_retryable_statuses_say_when_to_come_back():
    """UNAVAILABLE and RESOURCE_EXHAUSTED may be retried, nothing else."""
    retryable = {code_pb2.UNAVAILABLE, code_pb2.RESOURCE_EXHAUSTED}
    for kind in _leaves(errors.RerankError):
        found = status.to_status(_example(kind))
        assert ("RetryInfo" in _details(found)) == (found.code in retryable), kind


def test_a_bug_tells_the_caller_nothing_of_the_inside():
    """The message of an unforeseen exception may hold anything, a password included."""
    found = status.to_status(RuntimeError("password=secret"))
    assert found.code == code_pb2.INTERNAL
    assert b"secret" not in found.SerializeToString()


def test_a_long_text_of_the_caller_is_cut():
    """Trailers of more than 8 KiB are refused by peers, and the status would be lost."""
    found = status.to_status(errors.NotFoundError("model", "ü" * 100_000))
    assert len(found.SerializeToString()) < 4096
    assert found.message.endswith("…")
