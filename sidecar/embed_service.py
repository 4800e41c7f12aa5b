"""Embed on the wire."""

from __future__ import annotations

from rerank_proto.rerank.v1 import rerank_pb2 as pb
from rerank_proto.rerank.v1 import rerank_pb2_grpc as pb_grpc
from sidecar.deadlines import work_deadline
from sidecar.frame import note, note_stages
from sidecar.models import SHORT_HASH
from sidecar.security.caller import current_caller
from sidecar.service import Context, Ground, Service
from sidecar.stages import Stages
from sidecar.wire_embed import read_embed, write_vectors


def embed_service(ground: Ground) -> Service:
    """Turns texts into vectors with the bi-encoder that builds the indexes."""
    return Service.of("EmbedService", pb_grpc.add_EmbedServiceServicer_to_server, _Servicer(ground))


class _Servicer(pb_grpc.EmbedServiceServicer):
    def __init__(self, ground: Ground) -> None:
        self._ground = ground

    async def Embed(self, request: pb.EmbedRequest, context: Context) -> pb.EmbedResponse:
        ground, settings, stages = self._ground, self._ground.settings, Stages()
        deadline = work_deadline(context.time_remaining(), settings)
        note(texts=len(request.texts))
        note_stages(stages)
        with stages.timed("validate"):
            task = read_embed(request, settings.limits)
        encoder = ground.models.encoder(task.model)
        note(model=encoder.model.hash[:SHORT_HASH])
        caller = current_caller.get()
        with stages.timed("embed"):
            vectors = await ground.scorer.encode(
                encoder, task.texts, deadline, task.priority, caller
            )
        return write_vectors(vectors, encoder, stages)
