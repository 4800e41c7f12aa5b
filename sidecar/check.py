"""`--check-config`: reads what a start reads."""

from __future__ import annotations

from rerank_core.artifact import open_named
from sidecar.config import Settings
from sidecar.live import Standing
from sidecar.models import model_names


def check(settings: Settings) -> None:
    """Reads keys, certificates and models, every checksum compared.

    Raises `ConfigError` and `ArtifactError` where a start would end. Not tried: the address, the
    cluster, and whether a model computes.
    """
    Standing.read(settings)
    model_names(settings.models)
    for reranker in settings.models.rerankers:
        open_named(reranker).check_kind("cross-encoder")
    for encoder in settings.models.encoders:
        open_named(encoder).check_kind("bi-encoder")
