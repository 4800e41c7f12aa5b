"""The life of the server: bind, load, serve, reload, drain."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from contextlib import AsyncExitStack, suppress

import structlog

from rerank_core.engine import Engine, usable_cores
from rerank_core.errors import RerankError
from sidecar.admission.turnstile import Turnstile
from sidecar.config import Settings
from sidecar.frame import Frame
from sidecar.gate import Gate
from sidecar.health import Health
from sidecar.listener import listening
from sidecar.live import Live, Standing
from sidecar.models import ModelShelf
from sidecar.reload import Reloader
from sidecar.score_cache import ScoreCache
from sidecar.scorer import Scorer
from sidecar.service import Ground
from sidecar.services import open_services
from sidecar.signals import Signals
from sidecar.telemetry.metrics import Metrics
from sidecar.telemetry.traces import open_traces

_log = structlog.get_logger()

# A worker that has computed a unit waits for the interpreter's lock while the event loop is at
# work, by default up to 5 ms: the time of a unit, while its core does nothing.
_SWITCH_INTERVAL_S = 0.0005

# And the event loop waits for a core that computes, unless it goes first: where much is turned
# away, who was let in would wait for it, too.
_WORKER_NICENESS = 5


async def serve(
    settings: Settings, read: Callable[[], Settings], lines_lost: Callable[[], int]
) -> None:
    """Serves until SIGTERM or SIGINT; a second one ends the process at once. SIGHUP reloads.

    Returns when every call that was accepted has been answered, or `grace_s` has passed. `read`
    gives the settings anew, `lines_lost` tells the log's. Raises `ConfigError` where the address
    cannot be bound, `ArtifactError` where a model cannot be loaded.
    """
    live = Live(Standing.read(settings))
    sys.setswitchinterval(_SWITCH_INTERVAL_S)
    with (
        Engine(settings.workers, niceness=_WORKER_NICENESS) as engine,
        open_traces(settings.telemetry) as traces,
    ):
        ground = stand_on(live, engine)
        gate, metrics = Gate(), Metrics()
        metrics.watch(ground.scorer, lambda: gate.calls, lines_lost)
        frame = Frame(live, gate, metrics, traces)
        reloader = Reloader(read, ground, metrics)
        async with AsyncExitStack() as stack:
            # Before anybody can know that we listen: a stop is a stop from then on.
            signals = stack.enter_context(Signals())
            services = await stack.enter_async_context(open_services(ground, reloader))
            health = Health(service.name for service in services)
            if settings.http.port is not None:
                # Half a second of imports; who has no HTTP does not wait.
                from sidecar.http import http_app, http_listening  # noqa: PLC0415

                app = http_app(ground, frame, metrics, health)
                # Entered first, so that it outlives the drain: its calls leave by the same gate.
                http = await stack.enter_async_context(
                    http_listening(live, app, settings.http.port)
                )
                reloader.on_reload = http.accept
            await stack.enter_async_context(listening(live, services, frame, gate, health))
            await _until_stopped(signals, reloader, health)
    _log.info("stopped")


def stand_on(live: Live, engine: Engine) -> Ground:
    """What the services stand on, with no models yet."""
    settings = live.settings
    scorer = Scorer(
        engine,
        Turnstile(settings.workers or usable_cores()),
        ScoreCache(settings.limits.score_cache_bytes),
    )
    return Ground(live, scorer, ModelShelf())


async def _until_stopped(signals: Signals, reloader: Reloader, health: Health) -> None:
    reloads: set[asyncio.Task[None]] = set()

    def on_reload() -> None:
        task = asyncio.create_task(_reload(reloader))
        reloads.add(task)
        task.add_done_callback(reloads.discard)

    signals.on_reload = on_reload
    try:
        loading = asyncio.create_task(_load(reloader, health))
        stopping = asyncio.create_task(signals.stop.wait())
        await asyncio.wait((loading, stopping), return_when=asyncio.FIRST_COMPLETED)
        if loading.done():
            loading.result()
            await stopping
        for task in (loading, *reloads):
            task.cancel()
    finally:
        signals.give_back()


async def _load(reloader: Reloader, health: Health) -> None:
    models = await reloader.start()
    await health.serve()
    _log.info("serving", models=models.names)


async def _reload(reloader: Reloader) -> None:
    with suppress(RerankError):  # told by the reloader
        await reloader.reload()
