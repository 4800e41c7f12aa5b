"""A web server in the test's own event loop that answers as the test says."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from aiohttp import web
from opensearchpy import AsyncOpenSearch

from rerank_core.cluster.connection import connect_async
from rerank_core.cluster.settings import ClusterSettings


@asynccontextmanager
async def answering(
    answer: Callable[[web.Request], Awaitable[web.Response]],
) -> AsyncIterator[AsyncOpenSearch]:
    """A client of a server that gives each request to `answer`."""
    application = web.Application()
    application.router.add_route("*", "/{path:.*}", answer)
    runner = web.AppRunner(application, shutdown_timeout=0)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        settings = ClusterSettings(f"http://127.0.0.1:{runner.addresses[0][1]}")
        async with connect_async(settings, pool_size=200) as client:
            yield client
    finally:
        await runner.cleanup()
