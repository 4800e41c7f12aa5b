"""When requests are sent: whatever became of those before, as users do."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence

from rerank_core.errors import ConfigError


def poisson(rate_qps: float, duration_s: float, seed: int) -> list[float]:
    """Seconds of independent arrivals, `rate_qps` of them a second on average."""
    return shaped(rate_qps, duration_s, (1.0,), seed)


def shaped(rate_qps: float, duration_s: float, shape: Sequence[float], seed: int) -> list[float]:
    """Poisson arrivals whose rate follows `shape`, equal slices of the duration, mean `rate_qps`.

    A shape of ``(1, 4, 1)`` is a burst; the slices of a day are a trace. Raises `ConfigError`.
    """
    if rate_qps <= 0 or duration_s <= 0:
        raise ConfigError("a rate and a duration must be above 0")
    check_shape(shape)
    return list(_arrivals(rate_qps, duration_s, shape, random.Random(seed)))  # noqa: S311


def check_shape(shape: Sequence[float]) -> None:
    """Raises `ConfigError`."""
    if not shape or min(shape) < 0 or not sum(shape):
        raise ConfigError("a shape is numbers of 0 or more, not all of them 0")


def _arrivals(
    rate_qps: float, duration_s: float, shape: Sequence[float], dice: random.Random
) -> Iterator[float]:
    slice_s = duration_s / len(shape)
    mean = sum(shape) / len(shape)
    for number, weight in enumerate(shape):
        at, rate = 0.0, rate_qps * weight / mean
        # Exponential gaps forget: a slice may begin as if nothing had been before.
        while rate and (at := at + dice.expovariate(rate)) < slice_s:
            yield number * slice_s + at
