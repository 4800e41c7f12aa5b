"""Rerank on the wire."""

from __future__ import annotations

from rerank_proto.rerank.v1 import rerank_pb2 as pb
from rerank_proto.rerank.v1 import rerank_pb2_grpc as pb_grpc
from sidecar.calls import note
from sidecar.deadlines import work_deadline
from sidecar.models import SHORT_HASH
from sidecar.rerank import rerank
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
        ground, stages = self._ground, Stages()
        deadline = work_deadline(context, ground.settings, len(request.documents))
        # Noted while they are empty: the line of a call that fails shows the stages it reached.
        note(documents=len(request.documents), stages=stages.ms)
        with stages.timed("validate"):
            task = read_rerank(request, ground.settings.limits)
        ranking = await rerank(task, ground.engine, ground.models, deadline, stages)
        note(
            scored=ranking.scored,
            degraded=[reason.name for reason in ranking.degraded],
            model=ranking.model.model.hash[:SHORT_HASH] if ranking.model else None,
        )
        return write_ranking(ranking, stages)
