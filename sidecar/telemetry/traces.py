"""Spans that join the caller's trace, for an OpenTelemetry collector."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.util import find_spec
from typing import Any, Protocol

from rerank_core.errors import ConfigError
from sidecar.config import TelemetrySettings
from sidecar.stages import Stages

_NAME = "rerank-sidecar"


class Span(Protocol):
    """One call in a trace."""

    @property
    def trace_id(self) -> str | None:
        """32 hex digits where the call is sampled."""

    def end(self, status: str, facts: Mapping[str, Any], stages: Stages | None) -> None:
        """The call is over; `facts` are those of its log line."""


class Traces(Protocol):
    """Where calls begin their spans."""

    def begin(self, name: str, headers: Mapping[str, str]) -> Span:
        """A span of the caller's trace, as W3C `traceparent` names it, or of a new one."""


class _NoSpan:
    trace_id = None

    def end(self, status: str, facts: Mapping[str, Any], stages: Stages | None) -> None:
        """Nothing."""


class NoTraces:
    """Where no collector is named."""

    def begin(self, name: str, headers: Mapping[str, str]) -> Span:  # noqa: ARG002  tells nobody
        """A span that tells nobody."""
        return _NoSpan()


@contextmanager
def open_traces(settings: TelemetrySettings) -> Iterator[Traces]:
    """Sends spans while it is open, and what is left at its end.

    Raises `ConfigError` where the packages for it are missing.
    """
    if settings.otlp_endpoint is None:
        yield NoTraces()
        return
    if find_spec("opentelemetry.exporter") is None or find_spec("opentelemetry.sdk") is None:
        raise ConfigError(
            "telemetry.otlp_endpoint is set and OpenTelemetry is not installed; "
            "pip install 'rerank-sidecar[traces]'"
        )
    # Half a second of imports that nobody else waits for.
    from sidecar.telemetry.otlp import OtlpTraces  # noqa: PLC0415

    traces = OtlpTraces(settings.otlp_endpoint, settings.sample_ratio, _NAME)
    try:
        yield traces
    finally:
        traces.close()
