"""Embed on the wire."""

from __future__ import annotations

from rerank_proto.rerank.v1 import rerank_pb2 as pb
from rerank_proto.rerank.v1 import rerank_pb2_grpc as pb_grpc
from sidecar.calls import note
from sidecar.deadlines import work_deadline
from sidecar.models import SHORT_HASH
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
        ground, stages = self._ground, Stages()
        deadline = work_deadline(context, ground.settings)
        note(texts=len(request.texts), stages=stages.ms)
        with stages.timed("validate"):
            task = read_embed(request, ground.settings.limits)
        encoder = ground.models.encoder(task.model)
        note(model=encoder.model.hash[:SHORT_HASH])
        with stages.timed("embed"):
            vectors = await ground.engine.encode_async(
                encoder.model, task.texts, deadline=deadline, priority=task.priority
            )
        return write_vectors(vectors, encoder, stages)
