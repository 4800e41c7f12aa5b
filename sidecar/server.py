"""The life of the server: bind, load, serve, drain."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Iterator
from contextlib import contextmanager

import structlog

from rerank_core.engine import Engine
from sidecar.config import Settings
from sidecar.health import Health
from sidecar.listener import listening
from sidecar.models import ModelShelf, load_models
from sidecar.service import Ground
from sidecar.services import open_services

_log = structlog.get_logger()

_SIGNALS = (signal.SIGTERM, signal.SIGINT)


async def serve(settings: Settings) -> None:
    """Serves until SIGTERM or SIGINT; a second one ends the process at once.

    Returns when every call that was accepted has been answered, or `grace_s` has passed. Raises
    `ConfigError` where the address cannot be bound, `ArtifactError` where a model cannot be
    loaded.
    """
    with Engine(settings.workers) as engine, _stop_signal() as stop:
        ground = Ground(settings, engine, ModelShelf())
        async with open_services(ground) as services, listening(settings, services) as listener:
            loading = asyncio.create_task(_load(ground, listener.health))
            stopping = asyncio.create_task(stop.wait())
            await asyncio.wait((loading, stopping), return_when=asyncio.FIRST_COMPLETED)
            if loading.done():
                loading.result()
                await stopping
            loading.cancel()
    _log.info("stopped")


async def _load(ground: Ground, health: Health) -> None:
    models = await asyncio.to_thread(load_models, ground.settings.models, ground.engine)
    ground.models.put(models)
    await health.serve()
    _log.info("serving", models=models.names)


@contextmanager
def _stop_signal() -> Iterator[asyncio.Event]:
    """Set by the first signal, which also gives the signals back to the system."""
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()

    def on_first() -> None:
        stop.set()
        for number in _SIGNALS:
            loop.remove_signal_handler(number)
            # Python's own handler of SIGINT would raise KeyboardInterrupt amid the drain.
            signal.signal(number, signal.SIG_DFL)

    for number in _SIGNALS:
        loop.add_signal_handler(number, on_first)
    try:
        yield stop
    finally:
        for number in _SIGNALS:
            loop.remove_signal_handler(number)
