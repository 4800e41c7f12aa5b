"""The cheapest fleet that holds a latency at a load."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from benchmarks.capacity.queueing import busy, latency_ms
from benchmarks.capacity.service import ServiceModel
from rerank_core.errors import ConfigError

_CORES = (1, 2, 4, 8, 16, 32, 64)
_MOST_REPLICAS = 100_000
# Beyond that a small error of the model is a large one of the wait.
_MOST_BUSY = 0.85


@dataclass(frozen=True)
class Demand:
    """What is asked for."""

    qps: float
    candidates: float
    p99_ms: float
    tokens: float
    """Of a pair, mean."""
    most_cores: int = 16
    """Of one replica."""
    core_hour: float = 0.0
    """Price of a core for an hour, in whatever money."""
    factor: float = 1.0
    """Time by that of the default path with all layers."""

    def __post_init__(self) -> None:
        if min(self.qps, self.candidates, self.p99_ms, self.tokens, self.most_cores) <= 0:
            raise ConfigError("qps, candidates, p99-ms, tokens and cores must be above 0")


@dataclass(frozen=True)
class Fleet:
    """Equal replicas behind a balancer."""

    cores: int
    """Of a replica."""
    replicas: int
    busy: float
    service_ms: float
    p50_ms: float
    p99_ms: float
    price_hour: float
    extrapolated: bool
    """More cores a replica than were measured: by Amdahl's law, not by a clock."""

    @property
    def all_cores(self) -> int:
        """Of the fleet."""
        return self.cores * self.replicas


@dataclass(frozen=True)
class Alternative:
    """The same demand in another way."""

    name: str
    fleet: Fleet | None
    """None where no replica is fast enough."""


def cheapest(model: ServiceModel, demand: Demand) -> Fleet:
    """Fewest cores in all, then fewest replicas. Raises `ConfigError` where none is fast enough."""
    fleets = list(_fleets(model, demand))
    if not fleets:
        alone = model.service_ms(demand.candidates, demand.tokens, demand.most_cores, demand.factor)
        raise ConfigError(
            f"no replica of up to {demand.most_cores} cores holds p99 {demand.p99_ms:g} ms: a "
            f"request alone takes {alone:.0f} ms; ask for fewer candidates, more time or more cores"
        )
    return min(fleets, key=lambda one: (one.all_cores, one.replicas))


def alternatives(model: ServiceModel, demand: Demand) -> Iterator[Alternative]:
    """Less depth, smaller models, fp32."""
    changed = [
        (f"{share:.0%} of the candidates", replace(demand, candidates=demand.candidates * share))
        for share in (0.5, 0.3)
    ]
    changed += [
        (f"{count} layers", replace(demand, factor=demand.factor * factor))
        for count, factor in sorted(model.layers.items(), reverse=True)
        if factor < 1
    ]
    changed.append(("fp32", replace(demand, factor=demand.factor * model.fp32)))
    for name, other in changed:
        try:
            yield Alternative(name, cheapest(model, other))
        except ConfigError:
            yield Alternative(name, None)


def _fleets(model: ServiceModel, demand: Demand) -> Iterator[Fleet]:
    for cores in (count for count in _CORES if count <= demand.most_cores):
        mean_ms = model.service_ms(demand.candidates, demand.tokens, cores, demand.factor)
        times = [mean_ms * one for one in model.spread]

        def holds(replicas: int, times: list[float] = times) -> bool:
            share = demand.qps / replicas
            if busy(share, times) > _MOST_BUSY:
                return False
            return latency_ms(share, times, (99.0,))[0] <= demand.p99_ms

        least = max(1, math.ceil(demand.qps * mean_ms / 1e3 / _MOST_BUSY))
        if not holds(_MOST_REPLICAS):
            continue
        replicas = _first(holds, least)
        share = demand.qps / replicas
        p50_ms, p99_ms = latency_ms(share, times, (50.0, 99.0))
        yield Fleet(
            cores,
            replicas,
            busy(share, times),
            mean_ms,
            p50_ms,
            p99_ms,
            replicas * cores * demand.core_hour,
            extrapolated=cores > model.measured_cores,
        )


def _first(holds: Callable[[int], bool], least: int) -> int:
    """The fewest replicas that hold; more hold, too."""
    low, high = least - 1, least
    while not holds(high):
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if holds(middle) else (middle, high)
    return high
