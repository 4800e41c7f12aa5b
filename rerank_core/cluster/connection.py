"""Clients that talk to the search cluster."""

from __future__ import annotations

import base64
import io
from collections.abc import Collection, Mapping
from typing import Any

from opensearchpy import AIOHttpConnection, AsyncOpenSearch, OpenSearch

from rerank_core.cluster.settings import ClusterSettings, split_url

_LARGE_BYTES = 1 << 20


def connect(settings: ClusterSettings, *, pool_size: int = 10) -> OpenSearch:
    """A client for threads, to be closed by its owner; nothing is sent yet.

    It tries once: who calls knows its deadline and whether a second try is safe. `pool_size`
    connections are kept open, more are opened and closed again under load.
    """
    return OpenSearch(pool_maxsize=pool_size, **_arguments(settings))


def connect_async(settings: ClusterSettings, *, pool_size: int = 10) -> AsyncOpenSearch:
    """A client for one event loop, to be closed by its owner; nothing is sent yet.

    It tries once, like `connect`. At most `pool_size` requests are under way; further ones wait,
    and the wait counts against their timeout.
    """
    return AsyncOpenSearch(
        connection_class=_OneTry,
        pool_maxsize=pool_size,
        **_arguments(settings),
    )


class _OneTry(AIOHttpConnection):
    """Ends a request with its connection.

    aiohttp sends GET, PUT and DELETE a second time when the connection breaks off. The cluster may
    have done the first by then, and would answer the second with "already exists" or "not found".
    """

    async def _create_aiohttp_session(self) -> None:
        await super()._create_aiohttp_session()
        self.session._retry_connection = False  # noqa: SLF001 - aiohttp has no public switch

    async def perform_request(
        self,
        method: str,
        url: str,
        params: Mapping[str, Any] | None = None,
        body: Any = None,
        timeout: float | None = None,  # noqa: ASYNC109  the client's own
        ignore: Collection[int] = (),
        headers: Mapping[str, str] | None = None,
    ) -> Any:
        if body is not None and len(body) > _LARGE_BYTES:
            body = _Pieces(body)
        return await super().perform_request(method, url, params, body, timeout, ignore, headers)


class _Pieces(io.BytesIO):
    """A body that aiohttp sends piece by piece, so that the event loop goes on meanwhile."""

    def decode(self, *arguments: str) -> str:
        """For the client's log."""
        return self.getvalue().decode(*arguments)


def _arguments(settings: ClusterSettings) -> dict[str, Any]:
    parts = split_url(settings.url)
    secure = parts.scheme == "https"
    arguments: dict[str, Any] = {
        "hosts": [
            {
                "host": parts.hostname,
                "port": parts.port or (443 if secure else 9200),
                "url_prefix": parts.path.strip("/"),
            },
        ],
        "use_ssl": secure,
        "timeout": settings.timeout_s,
        # On loopback and inside a data centre, compressing costs more time than it saves.
        "http_compress": False,
        "max_retries": 0,
        "retry_on_timeout": False,
    }
    if settings.ca_path is not None:
        arguments["ca_certs"] = str(settings.ca_path)
    if settings.user is not None and settings.password is not None:
        # Written here, since the client's own helper cannot encode what is not Latin-1.
        secret = base64.b64encode(f"{settings.user}:{settings.password}".encode()).decode()
        arguments["headers"] = {"authorization": f"Basic {secret}"}
    return arguments
