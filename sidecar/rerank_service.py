"""Rerank on the wire."""

from __future__ import annotations

from rerank_proto.rerank.v1 import rerank_pb2 as pb
from rerank_proto.rerank.v1 import rerank_pb2_grpc as pb_grpc
from sidecar.deadlines import work_deadline
from sidecar.frame import note_stages
from sidecar.rerank import note_ranking, note_request, rerank
from sidecar.security.caller import current_caller
from sidecar.service import Context, Ground, Service
from sidecar.stages import Stages
from sidecar.wire_rerank import read_rerank, write_ranking


def rerank_service(ground: Ground) -> Service:
    """Puts the best of a query's first-stage hits first."""
    return Service.of(
        "RerankService", pb_grpc.add_RerankServiceServicer_to_server, _Servicer(ground)
    )


class _Servicer(pb_grpc.RerankServiceServicer):
    def __init__(self, ground: Ground) -> None:
        self._ground = ground

    async def Rerank(self, request: pb.RerankRequest, context: Context) -> pb.RerankResponse:
        ground, settings, stages = self._ground, self._ground.settings, Stages()
        count = len(request.documents)
        deadline = work_deadline(context.time_remaining(), settings, count)
        note_request(count, request.query, settings)
        note_stages(stages)
        with stages.timed("validate"):
            task = read_rerank(request, settings.limits)
        ranking = await rerank(
            task, ground.scorer, ground.models, current_caller.get(), deadline, stages
        )
        note_ranking(ranking)
        return write_ranking(ranking, stages)
