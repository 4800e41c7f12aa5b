"""A bound gRPC server: health and reflection beside our services, drained at its end."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import grpc
import structlog
from grpc_health.v1 import health, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from rerank_core.errors import ConfigError
from sidecar.calls import CallFrame
from sidecar.config import Settings
from sidecar.frame import Frame
from sidecar.gate import Gate
from sidecar.health import Health
from sidecar.live import Live
from sidecar.port_file import port_file
from sidecar.security.tls import Certificates
from sidecar.service import Service

_log = structlog.get_logger()

# Calls that were sent before their callers heard of the stop are still refused in words: gRPC's
# own stop cancels what has arrived and been taken up by no handler.
_LINGER_S = 0.2

_S = 1000
"""Milliseconds."""


@asynccontextmanager
async def listening(
    live: Live, services: Sequence[Service], frame: Frame, gate: Gate, word: Health
) -> AsyncIterator[int]:
    """Answers from the start, health with NOT_SERVING; gives the port.

    At the end: NOT_SERVING, new calls are refused, and those under way have up to `grace_s`.
    Raises `ConfigError` where the address cannot be bound or the port file not be written.
    """
    settings = live.settings
    server = grpc.aio.server(interceptors=[CallFrame(frame)], options=_options(settings))
    names = [service.name for service in services]
    for service in services:
        service.join(server)
    health_pb2_grpc.add_HealthServicer_to_server(word, server)
    reflection.enable_server_reflection(
        [*names, health.SERVICE_NAME, reflection.SERVICE_NAME], server
    )
    port = _bind(server, live)
    await server.start()
    try:
        with port_file(settings.port_file, port):
            _log.info("listening", host=settings.host, port=port, tls=settings.tls is not None)
            yield port
            grace_s = live.settings.grace_s  # of the moment: a reload may have changed it
            _log.info("draining", grace_s=grace_s)
            ends = time.monotonic() + grace_s
            await word.leave()
            await gate.close(grace_s)
            await asyncio.sleep(min(_LINGER_S, grace_s))
            await server.stop(max(0.0, ends - time.monotonic()))
    finally:
        await server.stop(None)


def _options(settings: Settings) -> list[tuple[str, int]]:
    """GRPC's own limits, where its defaults would let a client hold on to the server."""
    return [
        ("grpc.max_receive_message_length", settings.limits.max_message_bytes),
        # Else a second process takes half of the first one's connections without a word.
        ("grpc.so_reuseport", 0),
        ("grpc.max_allowed_incoming_connections", settings.max_connections),
        ("grpc.max_concurrent_streams", settings.limits.max_calls),
        ("grpc.server_handshake_timeout_ms", 10 * _S),
        # Peers that vanished are noticed, and those that ask more often than every 10 s are let go.
        ("grpc.keepalive_time_ms", 60 * _S),
        ("grpc.keepalive_timeout_ms", 20 * _S),
        ("grpc.http2.min_ping_interval_without_data_ms", 10 * _S),
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.max_connection_idle_ms", 600 * _S),
        # Clients connect anew now and then, and so find servers that were added since.
        ("grpc.max_connection_age_ms", 1800 * _S),
        ("grpc.max_connection_age_grace_ms", 60 * _S),
    ]


def _bind(server: grpc.aio.Server, live: Live) -> int:
    settings = live.settings
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    address = f"{host}:{settings.port}"
    try:
        if live.standing.certificates is None:
            return server.add_insecure_port(address)
        return server.add_secure_port(address, _credentials(live, live.standing.certificates))
    except RuntimeError as error:
        raise ConfigError(
            f"cannot listen on {address}: the port is in use or the address is not "
            "this machine's; choose another with --port or --host, --port 0 takes a free one"
        ) from error


def _credentials(live: Live, first: Certificates) -> grpc.ServerCredentials:
    """Asked at every handshake, from threads of gRPC: new connections get what a reload brought."""
    last = first

    def fetch() -> grpc.ServerCertificateConfiguration | None:
        nonlocal last
        now = live.standing.certificates
        if now is None or now is last:
            return None
        last = now
        return now.for_grpc()

    return grpc.dynamic_ssl_server_credentials(
        first.for_grpc(),
        fetch,  # type: ignore[arg-type]  # None: as before
        require_client_authentication=first.client_ca is not None,
    )
