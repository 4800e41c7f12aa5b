"""The one place where services join the server."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from rerank_proto.rerank.v1 import rerank_pb2_grpc as pb_grpc
from sidecar.admin_service import admin_service
from sidecar.embed_service import embed_service
from sidecar.model_service import model_service
from sidecar.reload import Reloader
from sidecar.rerank_service import rerank_service
from sidecar.service import Ground, Service


@asynccontextmanager
async def open_services(ground: Ground, reloader: Reloader) -> AsyncIterator[tuple[Service, ...]]:
    """All services that the settings ask for; what they opened is closed behind them."""
    settings = ground.settings
    services = [
        rerank_service(ground),
        embed_service(ground),
        model_service(ground),
        admin_service(reloader, ground.models),
    ]
    async with AsyncExitStack() as stack:
        if settings.cluster is not None:
            # The cluster's client takes a second to import; who has no cluster does not wait.
            from sidecar.search_service import open_search  # noqa: PLC0415

            search = await stack.enter_async_context(open_search(ground, settings.cluster))
            services.append(
                Service.of("SearchService", pb_grpc.add_SearchServiceServicer_to_server, search)
            )
        yield tuple(services)
