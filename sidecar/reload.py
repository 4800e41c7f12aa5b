"""Reading settings and models again while the server serves."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import structlog

from rerank_core.errors import ConfigError, RerankError
from sidecar.config import Limits, Settings
from sidecar.heap import settle_heap
from sidecar.live import Standing
from sidecar.models import Models, load_models
from sidecar.service import Ground
from sidecar.telemetry.metrics import Metrics

_log = structlog.get_logger()

# What the process was built around.
_FIXED = (
    *("host", "port", "port_file", "max_connections", "http"),
    *("workers", "cluster", "page_token_key", "telemetry"),
)

# What gRPC holds each connection to from its start; less of it is seen to by us.
_GROWS_AT_START = ("max_message_bytes", "max_calls")


class Reloader:
    """Puts new settings and models in place, all of them or none. One a server."""

    def __init__(
        self,
        read: Callable[[], Settings],
        ground: Ground,
        metrics: Metrics,
    ) -> None:
        """`read` gives the settings anew."""
        self._read = read
        self._ground = ground
        self._metrics = metrics
        self.on_reload: Callable[[], Awaitable[None]] | None = None
        """Called when new settings have taken effect."""
        self._lock = asyncio.Lock()
        self._born = ground.settings.limits

    async def start(self) -> Models:
        """Loads the models of the first settings. Raises `ArtifactError` and `ConfigError`."""
        async with self._lock:
            models = await self._load(self._ground.settings)
            self._ground.models.put(models)
            await self._settle(models)
            return models

    async def reload(self) -> tuple[str, ...]:
        """Names of the settings that are others now; ``models`` where a model is another.

        Raises `NotReadyError` while the first models load; `ConfigError` and `ArtifactError` where
        something is at fault, and then nothing has changed.
        """
        async with self._lock:
            ground = self._ground
            loaded = ground.models.models.versions
            try:
                settings = await asyncio.to_thread(self._read)
                changed = _changed(ground.settings, settings)
                _check_growth(self._born, settings.limits)
                standing = await asyncio.to_thread(Standing.read, settings)
                models = await self._load(settings)
            except RerankError as error:
                self._metrics.count_reload("refused")
                _log.error("reload refused", error=str(error))
                raise
            # At once, with nothing awaited between: a request sees the old of all, or the new.
            ground.models.put(models)
            ground.live.standing = standing
            ground.scorer.cache.bound(settings.limits.score_cache_bytes)
            await self._settle(models)
            if self.on_reload is not None:
                await self.on_reload()
            # Settings may name what was rolled back, or the same weights in another place.
            changed = tuple(name for name in changed if name != "models")
            if models.versions != loaded:
                changed = (*changed, "models")
            self._metrics.count_reload("done")
            _log.info("reloaded", changed=changed, models=models.names)
            return changed

    async def roll_back(self) -> Models:
        """Serves the models before the last swap. Raises `ConfigError` where there was none."""
        async with self._lock:
            models = self._ground.models.roll_back()
            self._metrics.show_models(models)
            _log.warning("rolled back", models=models.names, hashes=models.hashes)
            return models

    async def _load(self, settings: Settings) -> Models:
        """The models that the settings name, not served yet; or those that are served still."""
        shelf = self._ground.models
        models = await asyncio.to_thread(
            load_models, settings.models, self._ground.engine, shelf.kept
        )
        if not shelf.was_left(models):
            return models
        _log.warning(
            "models stay: those that the settings name were rolled back; change the settings, "
            "or roll back once more to serve them again",
            models=shelf.models.names,
            hashes=shelf.models.hashes,
        )
        return shelf.models

    async def _settle(self, models: Models) -> None:
        await asyncio.to_thread(settle_heap)
        self._metrics.show_models(models)


def _changed(old: Settings, new: Settings) -> tuple[str, ...]:
    """Names of the settings that differ. Raises `ConfigError` for one that needs a restart."""
    names = [name for name in type(new).model_fields if getattr(old, name) != getattr(new, name)]
    fixed = [name for name in names if name in _FIXED]
    if (old.tls is None) != (new.tls is None):
        fixed.append("tls")
    elif old.tls and new.tls and (old.tls.client_ca is None) != (new.tls.client_ca is None):
        fixed.append("tls.client_ca")
    if fixed:
        raise ConfigError(f"settings: {', '.join(fixed)} cannot change while serving; restart")
    return tuple(names)


def _check_growth(born: Limits, new: Limits) -> None:
    """Raises `ConfigError` where gRPC itself, set up at the start, would still refuse more."""
    grown = [name for name in _GROWS_AT_START if getattr(new, name) > getattr(born, name)]
    if grown:
        raise ConfigError(
            f"settings: limits.{', limits.'.join(grown)} cannot be more than at the start while "
            "serving; restart"
        )
