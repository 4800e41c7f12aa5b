"""Traces by OpenTelemetry, over OTLP."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import SERVICE_NAME, Resource
from opentelemetry.sdk.trace import Span as SdkSpan
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.sampling import ParentBasedTraceIdRatio
from opentelemetry.trace import SpanKind, StatusCode, format_trace_id
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from sidecar.stages import Stages

_PROPAGATOR = TraceContextTextMapPropagator()
# Statuses of calls that the server failed; the others are the caller's own.
_OURS = frozenset(("INTERNAL", "UNAVAILABLE", "DEADLINE_EXCEEDED", "FAILED_PRECONDITION"))
_TOLD = ("documents", "scored", "cached", "tokens", "model", "degraded", "profile", "index")


class OtlpTraces:
    """A tracer of our own, apart from what a program around us may have set up."""

    def __init__(self, endpoint: str, sample_ratio: float, name: str) -> None:
        self._provider = TracerProvider(
            sampler=ParentBasedTraceIdRatio(sample_ratio),
            resource=Resource.create({SERVICE_NAME: name}),
            shutdown_on_exit=False,
        )
        exporter = OTLPSpanExporter(endpoint, insecure=not endpoint.startswith("https://"))
        self._provider.add_span_processor(BatchSpanProcessor(exporter))
        self._tracer = self._provider.get_tracer(name)

    def begin(self, name: str, headers: Mapping[str, str]) -> _OtlpSpan:
        """See `Traces`."""
        parent = _PROPAGATOR.extract(headers)
        return _OtlpSpan(self._tracer, self._tracer.start_span(name, parent, SpanKind.SERVER))

    def close(self) -> None:
        """Sends what is left, within the exporter's own patience."""
        self._provider.shutdown()


class _OtlpSpan:
    def __init__(self, tracer: trace.Tracer, span: trace.Span) -> None:
        self._tracer = tracer
        self._span = span

    @property
    def trace_id(self) -> str | None:
        context = self._span.get_span_context()
        return format_trace_id(context.trace_id) if context.trace_flags.sampled else None

    def end(self, status: str, facts: Mapping[str, Any], stages: Stages | None) -> None:
        span = self._span
        if isinstance(span, SdkSpan) and span.is_recording():
            span.set_attribute("rpc.grpc.status", status)
            for name in _TOLD:
                if facts.get(name) is not None:
                    span.set_attribute(f"rerank.{name}", facts[name])
            if status in _OURS:
                span.set_status(StatusCode.ERROR, status)
            if stages is not None:
                self._tell(stages)
        span.end()

    def _tell(self, stages: Stages) -> None:
        """A child span a stage, in hindsight."""
        within = trace.set_span_in_context(self._span)
        for stage, began_ns in stages.began_ns.items():
            child = self._tracer.start_span(stage, within, start_time=began_ns)
            child.end(began_ns + int(stages.ms[stage] * 1e6))
