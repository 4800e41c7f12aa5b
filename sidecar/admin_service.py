"""Reload and Rollback on the wire."""

from __future__ import annotations

from rerank_proto.rerank.v1 import rerank_pb2 as pb
from rerank_proto.rerank.v1 import rerank_pb2_grpc as pb_grpc
from sidecar.models import Models, ModelShelf
from sidecar.reload import Reloader
from sidecar.security.caller import current_caller
from sidecar.service import Context, Service
from sidecar.wire import write_model


def admin_service(reloader: Reloader, models: ModelShelf) -> Service:
    """For whoever runs the server."""
    return Service.of(
        "AdminService", pb_grpc.add_AdminServiceServicer_to_server, _Servicer(reloader, models)
    )


class _Servicer(pb_grpc.AdminServiceServicer):
    def __init__(self, reloader: Reloader, models: ModelShelf) -> None:
        self._reloader = reloader
        self._models = models

    async def Reload(
        self,
        request: pb.ReloadRequest,  # noqa: ARG002  gRPC gives it
        context: Context,  # noqa: ARG002  as above
    ) -> pb.ReloadResponse:
        current_caller.get().check_admin()
        changed = await self._reloader.reload()
        return pb.ReloadResponse(changed=changed, models=_versions(self._models.models))

    async def Rollback(
        self,
        request: pb.RollbackRequest,  # noqa: ARG002  as above
        context: Context,  # noqa: ARG002  as above
    ) -> pb.RollbackResponse:
        current_caller.get().check_admin()
        return pb.RollbackResponse(models=_versions(await self._reloader.roll_back()))


def _versions(models: Models) -> list[pb.ModelVersion]:
    return [write_model(served) for served in models.all]
