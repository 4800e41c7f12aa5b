"""ModelInfo on the wire."""

from __future__ import annotations

from rerank_proto.rerank.v1 import rerank_pb2 as pb
from rerank_proto.rerank.v1 import rerank_pb2_grpc as pb_grpc
from sidecar.service import Context, Ground, Service
from sidecar.wire import check_name
from sidecar.wire_models import write_model_info


def model_service(ground: Ground) -> Service:
    """What the server has loaded."""
    return Service.of("ModelService", pb_grpc.add_ModelServiceServicer_to_server, _Servicer(ground))


class _Servicer(pb_grpc.ModelServiceServicer):
    def __init__(self, ground: Ground) -> None:
        self._ground = ground

    async def ModelInfo(
        self,
        request: pb.ModelInfoRequest,
        context: Context,  # noqa: ARG002  gRPC gives it
    ) -> pb.ModelInfoResponse:
        check_name("model", request.model)
        shelf = self._ground.models
        return write_model_info(shelf.any(request.model), shelf.models)
