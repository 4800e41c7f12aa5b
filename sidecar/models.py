"""The models that are served: load, warm, look up by name."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Generic, TypeAlias, TypeVar

import structlog

from rerank_core.artifact import Artifact, open_named
from rerank_core.engine import (
    BiEncoder,
    CostModel,
    CrossEncoder,
    Engine,
    Model,
    load_bi_encoder,
    load_cross_encoder,
)
from rerank_core.errors import (
    ArtifactError,
    ConfigError,
    NotFoundError,
    NotReadyError,
    ScoringError,
)
from sidecar.admission.estimate import WorkEstimate
from sidecar.config import ModelSettings, model_name

_log = structlog.get_logger()

AnyModel = TypeVar("AnyModel", CrossEncoder, BiEncoder)

SHORT_HASH = 12
"""Hex digits of a model hash that a log line shows."""


@dataclass(frozen=True, slots=True)
class Served(Generic[AnyModel]):
    """A model and the name it is loaded under."""

    name: str
    model: AnyModel
    work: WorkEstimate = field(default_factory=WorkEstimate)
    """How much work its requests are."""


AnyServed: TypeAlias = Served[CrossEncoder] | Served[BiEncoder]


@dataclass(frozen=True, slots=True)
class Models:
    """Loaded models, the default one of each kind first."""

    rerankers: tuple[Served[CrossEncoder], ...]
    encoders: tuple[Served[BiEncoder], ...]

    def reranker(self, name: str = "") -> Served[CrossEncoder]:
        """The cross-encoder of that name, or the default one. Raises `NotFoundError`."""
        return _pick(self.rerankers, name, "cross-encoder")

    @property
    def defaults(self) -> tuple[str, ...]:
        """Names of what an empty model name means."""
        return (*_names(self.rerankers[:1]), *_names(self.encoders[:1]))

    @property
    def hashes(self) -> tuple[str, ...]:
        """Of all of them."""
        return tuple(served.model.hash for served in self.all)

    @property
    def versions(self) -> tuple[tuple[str, str], ...]:
        """Hash and numeric path of all of them: equal where nothing was swapped.

        Ranges of static int8 decide scores, too, and are in the path's name alone.
        """
        return tuple((served.model.hash, served.model.numeric_path) for served in self.all)

    @property
    def all(self) -> tuple[AnyServed, ...]:
        """Cross-encoders, then bi-encoders."""
        everything: list[AnyServed] = []
        everything += self.rerankers
        everything += self.encoders
        return tuple(everything)

    @property
    def names(self) -> tuple[str, ...]:
        """All of them, the defaults first."""
        return (*self.defaults, *_names(self.rerankers[1:]), *_names(self.encoders[1:]))


class ModelShelf:
    """Holds the models of the moment, so that all of them change at once, and those before."""

    def __init__(self) -> None:
        self._models: Models | None = None
        self._before: Models | None = None
        self._left: frozenset[tuple[str, str]] = frozenset()
        """Of `Models.versions`, those that were rolled back."""

    def put(self, models: Models) -> None:
        """From now on these are served; those so far are kept for `roll_back`."""
        if models is self._models:
            return  # they stay, and so does what was rolled back
        if self._models is not None and models.versions != self._models.versions:
            self._before = self._models
        self._left = frozenset()
        self._models = models

    def was_left(self, models: Models) -> bool:
        """Whether one of these was rolled back: no reload brings it again by itself.

        Until settings that name none of them were put in place.
        """
        return not self._left.isdisjoint(models.versions)

    def roll_back(self) -> Models:
        """From now on those before the last change are served. Raises `ConfigError` for none.

        Twice: the same as before.
        """
        if self._before is None or self._models is None:
            raise ConfigError("models: there was no swap, so there is nothing to go back to")
        back = not self._left
        gone = frozenset(self._models.versions) - frozenset(self._before.versions)
        self._left = gone if back else frozenset()
        self._models, self._before = self._before, self._models
        return self._models

    @property
    def kept(self) -> tuple[AnyServed, ...]:
        """All that is in memory, the served ones last."""
        generations = [models for models in (self._before, self._models) if models is not None]
        return tuple(served for models in generations for served in models.all)

    @property
    def models(self) -> Models:
        """What is served. Raises `NotReadyError` before the first `put`."""
        if self._models is None:
            raise NotReadyError("the models are still loading; the health service tells when not")
        return self._models

    def reranker(self, name: str = "") -> Served[CrossEncoder]:
        """The cross-encoder of that name, or the default one. Raises `NotFoundError`."""
        return self.models.reranker(name)

    def encoder(self, name: str = "") -> Served[BiEncoder]:
        """The bi-encoder of that name, or the default one. Raises `NotFoundError`."""
        return _pick(self.models.encoders, name, "bi-encoder")

    def any(self, name: str = "") -> Served[CrossEncoder] | Served[BiEncoder]:
        """The model of that name, or the default cross-encoder. Raises `NotFoundError`."""
        models = self.models
        if name in _names(models.encoders):
            return self.encoder(name)
        if name and name not in models.names:
            raise NotFoundError("model", name, models.names)
        return self.reranker(name)


def model_names(settings: ModelSettings) -> list[str]:
    """What each is loaded under. Raises `ConfigError` where two would share a name."""
    names = [model_name(place) for place in (*settings.rerankers, *settings.encoders)]
    for name in names:
        if names.count(name) > 1:
            raise ConfigError(f"models: two are named {name!r}; rename one's folder")
    return names


def load_models(settings: ModelSettings, engine: Engine, kept: Iterable[AnyServed] = ()) -> Models:
    """Loads every model and runs each once, so that no request pays for a first time.

    One that is `kept` in memory already is taken from there, with what was learnt of its work.
    Raises `ArtifactError`, and
    `ConfigError` where two models would share a name.
    """
    names = model_names(settings)
    kept = tuple(kept)
    known = {served.model.hash: served.model for served in kept}
    works = {served.model.hash: served.work for served in kept}
    rerankers = [
        _load(place, known, CrossEncoder, load_cross_encoder) for place in settings.rerankers
    ]
    # The cost of an encoder's units is guessed: they are about what the cross-encoder's are, and
    # what they take corrects it. Measuring would hold up the start.
    encoders = [
        replace(encoder, cost=CostModel(rerankers[0].cost.terms))
        for encoder in (
            _load(place, known, BiEncoder, load_bi_encoder) for place in settings.encoders
        )
    ]
    models: list[CrossEncoder | BiEncoder] = [*rerankers, *encoders]
    for name, model in zip(names, models, strict=True):
        _tell(name, model)
    for name, model in zip(names, models, strict=True):
        _warm(name, model, engine)
    count = len(rerankers)
    return Models(_served(names[:count], rerankers, works), _served(names[count:], encoders, works))


def _served(
    names: Sequence[str], models: Sequence[AnyModel], works: Mapping[str, WorkEstimate]
) -> tuple[Served[AnyModel], ...]:
    return tuple(
        Served(name, model, works.get(model.hash, WorkEstimate()))
        for name, model in zip(names, models, strict=True)
    )


def _load(
    place: str,
    known: Mapping[str, Model],
    kind: type[AnyModel],
    load: Callable[[Artifact], AnyModel],
) -> AnyModel:
    """The model in a folder; its checksums are compared in any case."""
    artifact = open_named(place)
    model = known.get(artifact.manifest.model_hash)
    # Ranges of static int8 decide scores, too, and are in the manifest, not in the weights' hash.
    quantisation = artifact.manifest.quantisation
    if isinstance(model, kind) and model.artifact.manifest.quantisation == quantisation:
        # What decides no score (licence, calibration) may have changed in the manifest.
        return replace(model, artifact=artifact)
    return load(artifact)


# One short row and one longer than any recipe's limit: the buffers of both ends are made.
_WARM_TEXTS = ["text", "text " * 512]


def _warm(name: str, model: CrossEncoder | BiEncoder, engine: Engine) -> None:
    """Runs it once. Raises `ArtifactError` where that gives no number."""
    try:
        if isinstance(model, BiEncoder):
            engine.encode(model, _WARM_TEXTS)
        else:
            for _ in engine.submit(model, "query", _WARM_TEXTS):
                pass
    except ScoringError as error:
        raise ArtifactError(f"model {name}: {error}; its weights are broken") from error


def _tell(name: str, model: Model) -> None:
    """One line a model, a warning where it computes otherwise than was wanted."""
    manifest = model.artifact.manifest
    tell = _log.warning if model.path_fallback else _log.info
    tell(
        "model",
        name=name,
        kind=manifest.kind,
        hash=manifest.model_hash[:SHORT_HASH],
        numeric_path=model.numeric_path,
        reason=model.path_reason,
        fallback=model.path_fallback,
        deterministic=model.deterministic,
        licence=manifest.licence.name,
    )
    if manifest.licence.notice:
        _log.warning("licence", name=name, notice=manifest.licence.notice)


def _names(served: tuple[Served[AnyModel], ...]) -> tuple[str, ...]:
    return tuple(item.name for item in served)


def _pick(served: tuple[Served[AnyModel], ...], name: str, kind: str) -> Served[AnyModel]:
    for candidate in served:
        if name in ("", candidate.name):
            return candidate
    raise NotFoundError(kind, name or "default", _names(served))
