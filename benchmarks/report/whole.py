"""Of a load point, the answers that were reranked whole: how fast, and how many of all."""

from __future__ import annotations

from dataclasses import dataclass

from scipy import stats

from benchmarks.load.samples import percentiles
from benchmarks.points import Point

_LEVEL = 0.95


@dataclass(frozen=True)
class Kept:
    """Requests that were reranked whole and in time, of those counted."""

    kept: int
    requests: int

    @property
    def share(self) -> float:
        """0 where nothing was asked."""
        return self.kept / self.requests if self.requests else 0.0

    @property
    def interval(self) -> tuple[float, float]:
        """Of the share, 95 %, Clopper and Pearson: 0 to 1 where nothing was asked."""
        if not self.requests:
            return 0.0, 1.0
        found = stats.binomtest(self.kept, self.requests).proportion_ci(_LEVEL, method="exact")
        return float(found.low), float(found.high)


def is_load(point: Point) -> bool:
    """Whether it is of a load client, which counts what became of each request."""
    return "full_share" in point.figures


def whole_ms(point: Point) -> tuple[float, ...]:
    """Latencies of the whole answers of a load point; a shed one comes in no time and is not here.

    Files from before the series was kept have the latencies of all and what share was scored.
    """
    if "full_latency_ms" in point.series:
        return point.series["full_latency_ms"]
    pairs = zip(
        point.series.get("latency_ms", ()), point.series.get("scored_share", ()), strict=True
    )
    return tuple(ms for ms, scored in pairs if scored >= 1)


def full_figures(point: Point) -> dict[str, float]:
    """Percentiles of the whole answers, by the names that load points have."""
    return {f"full_{name}_ms": ms for name, ms in percentiles(whole_ms(point)).items()}


def kept_of(point: Point) -> Kept:
    """How many of the counted requests were whole and in time; all whole ones without a budget."""
    budget_ms = point.figures.get("budget_ms", float("inf"))
    kept = sum(ms <= budget_ms for ms in whole_ms(point))
    return Kept(kept, round(point.figures["requests"]))
