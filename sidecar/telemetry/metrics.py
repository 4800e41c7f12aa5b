"""Prometheus metrics."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.openmetrics.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.registry import Collector

from sidecar.models import Models
from sidecar.scorer import Scorer

CONTENT_TYPE = CONTENT_TYPE_LATEST

# A budget is 20 to 1,000 ms; a stage is as short as 50 microseconds.
_CALL_S = (0.005, 0.01, 0.02, 0.035, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.5, 1.0, 2.0, 5.0)
_STAGE_S = (0.0001, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0)


class Metrics:
    """Counts calls; what others hold (queue, cache, models) is read when it is asked for."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)

        def made(
            kind: Any, name: str, text: str, labels: tuple[str, ...] = (), **facts: Any
        ) -> Any:
            return kind(f"rerank_{name}", text, labels, registry=self._registry, **facts)

        self._calls = made(
            Counter, "calls", "Calls that ended, by gRPC status.", ("surface", "rpc", "status")
        )
        self._seconds = made(
            Histogram, "call_seconds", "Time of calls.", ("surface", "rpc"), buckets=_CALL_S
        )
        self._stages = made(
            Histogram,
            "stage_seconds",
            "Time of a call's stages; queue is the wait for the engine.",
            ("stage",),
            buckets=_STAGE_S,
        )
        self._documents = made(
            Counter, "documents", "Documents, by what became of them.", ("outcome",)
        )
        self._tokens = made(Counter, "tokens", "Tokens that the engine was asked to read, about.")
        self._degraded = made(
            Counter, "degraded", "Answers that were less than asked for.", ("reason",)
        )
        self._reloads = made(Counter, "reloads", "Reloads of the settings.", ("outcome",))
        self._models = made(
            Gauge, "model", "1 for each loaded model.", ("name", "kind", "hash", "numeric_path")
        )
        self._fallback = made(
            Gauge,
            "numeric_path_fallback",
            "1 where a model computes on another path than was wanted.",
            ("name", "numeric_path"),
        )

    def watch(
        self, scorer: Scorer, under_way: Callable[[], int], lines_lost: Callable[[], int]
    ) -> None:
        """Reads queue, cache, calls under way and the log whenever metrics are asked for."""
        self._registry.register(_Watched(scorer, under_way, lines_lost))

    def count(
        self, surface: str, rpc: str, status: str, total_s: float, facts: Mapping[str, Any]
    ) -> None:
        """One call that ended; `facts` are those of its log line."""
        self._calls.labels(surface, rpc, status).inc()
        self._seconds.labels(surface, rpc).observe(total_s)
        for stage, duration_ms in facts.get("stages", {}).items():
            self._stages.labels(stage).observe(duration_ms / 1e3)
        for reason in facts.get("degraded", ()):
            self._degraded.labels(reason).inc()
        if "scored" in facts:
            cached, scored = facts.get("cached", 0), facts["scored"]
            self._documents.labels("cached").inc(cached)
            self._documents.labels("computed").inc(scored - cached)
            self._documents.labels("unscored").inc(max(0, facts.get("documents", scored) - scored))
            self._tokens.inc(facts.get("tokens", 0))

    def count_reload(self, outcome: str) -> None:
        """A reload that ended."""
        self._reloads.labels(outcome).inc()

    def show_models(self, models: Models) -> None:
        """What is served from now on."""
        self._models.clear()
        self._fallback.clear()
        for served in models.all:
            model = served.model
            kind = model.artifact.manifest.kind
            self._models.labels(served.name, kind, model.hash, model.numeric_path).set(1)
            self._fallback.labels(served.name, model.numeric_path).set(model.path_fallback)

    def page(self) -> bytes:
        """All of it in the OpenMetrics text format."""
        page: bytes = generate_latest(self._registry)  # type: ignore[no-untyped-call]
        return page


class _Watched(Collector):
    def __init__(
        self, scorer: Scorer, under_way: Callable[[], int], lines_lost: Callable[[], int]
    ) -> None:
        self._scorer = scorer
        self._under_way = under_way
        self._lines_lost = lines_lost

    def collect(self) -> Iterable[GaugeMetricFamily | CounterMetricFamily]:
        """What the parts hold now."""
        turnstile, cache = self._scorer.turnstile, self._scorer.cache

        def gauge(name: str, text: str, value: float) -> GaugeMetricFamily:
            return GaugeMetricFamily(f"rerank_{name}", text, value=value)

        yield gauge("calls_under_way", "Calls under way.", self._under_way())
        yield gauge("waiting_requests", "Requests before the turnstile.", turnstile.waiting)
        yield gauge("engine_requests", "Requests behind the turnstile.", turnstile.inside)
        yield gauge("wait_seconds", "What a newcomer would wait.", turnstile.wait_ms() / 1e3)
        yield gauge("score_cache_bytes", "Bytes of remembered scores.", cache.bytes_kept)
        lookups = CounterMetricFamily(
            "rerank_score_cache_lookups", "Pairs looked up.", labels=["outcome"]
        )
        lookups.add_metric(["hit"], cache.hits)
        lookups.add_metric(["miss"], cache.misses)
        yield lookups
        lost = CounterMetricFamily("rerank_log_lines_lost", "Lines of the log that nobody read.")
        lost.add_metric([], self._lines_lost())
        yield lost
