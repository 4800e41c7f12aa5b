"""A bound server: health and reflection beside our services, drained at its end."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import grpc
import structlog
from grpc_health.v1 import health, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from rerank_core.errors import ConfigError
from sidecar.calls import CallFrame
from sidecar.config import Settings
from sidecar.gate import Gate
from sidecar.health import Health
from sidecar.service import Service

_log = structlog.get_logger()

# Calls that were sent before their callers heard of the stop are still refused in words: gRPC's
# own stop cancels what has arrived and been taken up by no handler.
_LINGER_S = 0.2


@dataclass(frozen=True, slots=True)
class Listener:
    """Where the server listens, and the word on whether it serves."""

    port: int
    health: Health


@asynccontextmanager
async def listening(settings: Settings, services: Sequence[Service]) -> AsyncIterator[Listener]:
    """Answers from the start, health with NOT_SERVING.

    At the end: NOT_SERVING, new calls are refused, and those under way have up to `grace_s`.
    Raises `ConfigError` where the address cannot be bound or the port file not be written.
    """
    gate = Gate()
    server = grpc.aio.server(
        interceptors=[CallFrame(gate)],
        options=[
            ("grpc.max_receive_message_length", settings.limits.max_message_bytes),
            # Else a second process takes half of the first one's connections without a word.
            ("grpc.so_reuseport", 0),
        ],
    )
    names = [service.name for service in services]
    for service in services:
        service.join(server)
    word = Health(names)
    health_pb2_grpc.add_HealthServicer_to_server(word, server)
    reflection.enable_server_reflection(
        [*names, health.SERVICE_NAME, reflection.SERVICE_NAME], server
    )
    port = _bind(server, settings)
    await server.start()
    try:
        with _port_file(settings.port_file, port):
            _log.info("listening", host=settings.host, port=port)
            yield Listener(port, word)
            _log.info("draining", grace_s=settings.grace_s)
            ends = time.monotonic() + settings.grace_s
            await word.leave()
            await gate.close(settings.grace_s)
            await asyncio.sleep(min(_LINGER_S, settings.grace_s))
            await server.stop(max(0.0, ends - time.monotonic()))
    finally:
        await server.stop(None)


def _bind(server: grpc.aio.Server, settings: Settings) -> int:
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    try:
        return server.add_insecure_port(f"{host}:{settings.port}")
    except RuntimeError as error:
        raise ConfigError(
            f"cannot listen on {host}:{settings.port}: the port is in use or the address is not "
            "this machine's; choose another with --port or --host, --port 0 takes a free one"
        ) from error


@contextmanager
def _port_file(path: Path | None, port: int) -> Iterator[None]:
    """The port in a file for as long as it is bound."""
    if path is None:
        yield
        return
    staged = path.with_name(f".{path.name}.new")
    try:
        staged.write_text(f"{port}\n", encoding="ascii")
        # Renamed, so that whoever waits for the file never reads half of it.
        staged.replace(path)
    except OSError as error:
        raise ConfigError(f"port_file {path}: {error.strerror or error}") from error
    try:
        yield
    finally:
        path.unlink(missing_ok=True)
