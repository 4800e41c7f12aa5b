"""What is offered to whom."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal, Self

from rerank_core.errors import ConfigError

Surface = Literal["grpc", "http"]

# Longer ones are no budget: whoever waits so long was never turned away.
_LONGEST_BUDGET_MS = 10_000.0

# Of a run, at least two seconds: connections, caches and the cost model settle.
_WARM_UP_SHARE = 0.1
_LEAST_WARM_UP_S = 2.0


@dataclass(frozen=True)
class LoadPlan:
    """One run."""

    target: str
    """``host:port`` of the surface."""
    surface: Surface
    workload: str
    rate_qps: float
    """Offered; in a closed loop what the callers reached is in the samples."""
    duration_s: float
    budget_ms: float
    shape: tuple[float, ...] = (1.0,)
    callers: int = 0
    """Of a closed loop: each asks again when it is answered. 0: an open loop."""
    seed: int = 1

    def __post_init__(self) -> None:
        if self.duration_s <= self.warm_up_s:
            raise ConfigError(
                f"a run of {self.duration_s:g} s is all warm-up; take more than "
                f"{_LEAST_WARM_UP_S:g} s"
            )

    @property
    def open_loop(self) -> bool:
        """Whether requests come whatever became of those before."""
        return self.callers == 0

    @property
    def bounded(self) -> bool:
        """Whether the server turns requests away before its queue grows: open, with a budget."""
        return self.open_loop and self.budget_ms <= _LONGEST_BUDGET_MS

    @property
    def warm_up_s(self) -> float:
        """Left out of all figures: a tenth of the run, two seconds at least."""
        return max(_LEAST_WARM_UP_S, _WARM_UP_SHARE * self.duration_s)

    @property
    def counted_s(self) -> float:
        """Seconds that count."""
        return self.duration_s - self.warm_up_s

    def counting(self, counted_s: float) -> Self:
        """As long as it takes to count so many seconds."""
        with_warm_up = max(counted_s + _LEAST_WARM_UP_S, counted_s / (1 - _WARM_UP_SHARE))
        return replace(self, duration_s=with_warm_up)
