"""The Search service, and the cluster's client that it owns."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import structlog

from rerank_core.cluster.connection import connect_async
from rerank_core.cluster.settings import ClusterSettings
from rerank_proto.rerank.v1 import rerank_pb2 as pb
from rerank_proto.rerank.v1 import rerank_pb2_grpc as pb_grpc
from sidecar.cursor import CursorSigner
from sidecar.deadlines import work_deadline
from sidecar.frame import note, note_stages
from sidecar.funnel import Funnel
from sidecar.rerank import note_ranking
from sidecar.security.caller import current_caller
from sidecar.service import Context, Ground
from sidecar.stages import Stages
from sidecar.wire_search import read_search, write_found

_log = structlog.get_logger()

# Searches under way on the cluster; more wait.
_POOL_SIZE = 64


class SearchService(pb_grpc.SearchServiceServicer):
    """Searches by profile."""

    def __init__(self, funnel: Funnel, ground: Ground) -> None:
        self._funnel = funnel
        self._ground = ground

    async def Search(self, request: pb.SearchRequest, context: Context) -> pb.SearchResponse:
        """See the contract."""
        settings, stages = self._ground.settings, Stages()
        note_stages(stages)
        deadline = work_deadline(context.time_remaining(), settings)
        with stages.timed("validate"):
            task = read_search(request, settings.limits)
        note(profile=task.profile)
        if settings.telemetry.log_texts:
            note(query=task.query)
        found = await self._funnel.search(task, current_caller.get(), deadline, stages)
        note_ranking(found.ranking)
        note(
            index=found.index,
            hits=len(found.hits),
            # What the profile leaves to the first stage was never to be scored.
            documents=len(found.ranking.placed[: found.profile.rerank_depth or None]),
            degraded=[reason.name for reason in found.degraded],
        )
        return write_found(found, task, stages, explain=request.explain)


@asynccontextmanager
async def open_search(ground: Ground, cluster: ClusterSettings) -> AsyncIterator[SearchService]:
    """The service; its connections are closed behind it."""
    # A key of this process's own where none is set: tokens then end with the process.
    given = ground.settings.page_token_key.get_secret_value().encode()
    if not given:
        _log.warning(
            "page tokens are of this process alone",
            mend="set page_token_key, the same for all servers behind one name",
        )
    signer = CursorSigner(given or secrets.token_bytes(32))
    client = connect_async(cluster, pool_size=_POOL_SIZE)
    try:
        yield SearchService(
            Funnel(client, ground.scorer, ground.models, ground.live, signer), ground
        )
    finally:
        await client.close()
