"""A bound HTTP server in the event loop of the gRPC server."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import Any

import structlog
from uvicorn.config import Config
from uvicorn.server import ServerState

from rerank_core.errors import ConfigError
from sidecar.config import HttpSettings, Settings
from sidecar.http.protocol import Patience, PatientProtocol
from sidecar.live import Live
from sidecar.port_file import port_file

_log = structlog.get_logger()

_BACKLOG = 2048
_LEAVING_S, _LOOK_S = 1.0, 0.02


class HttpListener:
    """Accepts connections, new ones with the certificates of the moment."""

    def __init__(self, live: Live, taken: socket.socket, app: Any, settings: HttpSettings) -> None:
        self._live = live
        self._socket = taken
        self._state = ServerState()
        config = Config(
            app,
            http=PatientProtocol,
            ws="none",
            interface="asgi3",
            lifespan="off",
            log_config=None,
            access_log=False,
            proxy_headers=False,
            timeout_keep_alive=settings.idle_s,
        )
        config.load()
        patience = Patience(settings.request_s, settings.max_connections)
        self._protocol = partial(PatientProtocol, config, self._state, patience)
        self._handshake_s = settings.request_s
        self._server: asyncio.Server | None = None

    async def accept(self) -> None:
        """From now on with these certificates; connections that are open go on."""
        certificates = self._live.standing.certificates
        before = self._server
        self._server = await asyncio.get_running_loop().create_server(
            self._protocol,
            sock=self._socket.dup(),  # closed with its server; the port stays bound
            ssl=None if certificates is None else certificates.context,
            # Before its end a connection is not counted.
            ssl_handshake_timeout=None if certificates is None else self._handshake_s,
            backlog=_BACKLOG,
        )
        if before is not None:
            before.close()

    async def close(self) -> None:
        """No more connections; those that are open end with what they are answering."""
        if self._server is not None:
            self._server.close()
        self._socket.close()
        for connection in list(self._state.connections):
            connection.shutdown()
        # What was under way has been waited for; the end of an answer may still be on its way.
        with suppress(TimeoutError):
            async with asyncio.timeout(_LEAVING_S):
                while self._state.connections:  # noqa: ASYNC110  uvicorn tells nobody
                    await asyncio.sleep(_LOOK_S)
        for connection in list(self._state.connections):
            connection.transport.abort()


@asynccontextmanager
async def http_listening(live: Live, app: Any, port: int) -> AsyncIterator[HttpListener]:
    """Serves `app` while it is open; port 0 takes a free one.

    Raises `ConfigError` where the address cannot be bound or the port file not be written.
    """
    settings = live.settings
    # What a client did wrong is not for our log; bugs are told by the frame.
    logging.getLogger("uvicorn.error").setLevel(logging.ERROR)
    taken = _bind(settings, port)
    port = taken.getsockname()[1]
    listener = HttpListener(live, taken, app, settings.http)
    await listener.accept()
    try:
        with port_file(settings.http.port_file, port):
            _log.info("listening for HTTP", host=settings.host, port=port)
            yield listener
    finally:
        await listener.close()


def _bind(settings: Settings, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    taken = socket.socket(family, socket.SOCK_STREAM)
    try:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        taken.bind((settings.host, port))
        taken.listen(_BACKLOG)
        taken.setblocking(False)  # noqa: FBT003  its own signature
    except OSError as error:
        taken.close()
        raise ConfigError(
            f"cannot listen for HTTP on {settings.host}:{port}: {error.strerror or error}; choose "
            "another with --http.port or --host, --http.port 0 takes a free one"
        ) from error
    return taken
