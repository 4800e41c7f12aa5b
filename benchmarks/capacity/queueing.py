"""Latency of a replica that serves one request after the other: M/G/1, and its simulation.

The engine spreads a request over all cores, so a replica is one server. Requests come to it at
random (Poisson), as a random share of such a stream does; a balancer that goes round is kinder.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from rerank_core.errors import ConfigError

Times = npt.NDArray[np.float64]

# Of the grid: steps a mean service time, and how many of those times it is long. Waits beyond it
# are less than one in a million up to nine tenths busy.
_STEPS = 64
_LENGTH = 512


def busy(rate_qps: float, service_ms: Sequence[float] | Times) -> float:
    """Share of time that the server works."""
    return float(rate_qps / 1e3 * np.mean(service_ms))


def wait_ms(rate_qps: float, service_ms: Sequence[float] | Times) -> float:
    """Mean wait before service: Pollaczek and Khinchine, ``rate E[S^2] / 2 (1 - rho)``.

    Raises `ConfigError` where more comes than can be served.
    """
    times = np.asarray(service_ms, np.float64)
    rho = _possible(rate_qps, times)
    return float(rate_qps / 1e3 * (times**2).mean() / (2 * (1 - rho)))


def latency_ms(
    rate_qps: float, service_ms: Sequence[float] | Times, percents: Sequence[float]
) -> list[float]:
    """Percentiles of wait plus service.

    The wait is a geometric number of residual service times (Pollaczek and Khinchine's transform),
    summed exactly on a grid by FFT. Raises `ConfigError` where more comes than can be served.
    """
    times = np.asarray(service_ms, np.float64)
    rho = _possible(rate_qps, times)
    step = times.mean() / _STEPS
    cells = _STEPS * _LENGTH
    service = _spread(times / step, cells)
    longer = np.maximum(1 - np.cumsum(service), 0.0)
    # What is left between two cells is shared by both, so that its mean stays, too.
    residual = (longer + np.concatenate(([0.0], longer[:-1]))) / (2 * longer.sum())
    transform = (1 - rho) / (1 - rho * np.fft.rfft(residual)) * np.fft.rfft(service)
    below = np.cumsum(np.fft.irfft(transform, cells))
    return [float(np.interp(percent / 100, below, np.arange(cells) * step)) for percent in percents]


def simulated(rate_qps: float, service_ms: Sequence[float], requests: int, seed: int = 1) -> Times:
    """Latencies of so many requests by Lindley's recursion, the first tenth left out."""
    random = np.random.default_rng(seed)
    gaps = random.exponential(1e3 / rate_qps, requests)
    services = random.choice(np.asarray(service_ms, np.float64), requests)
    waited = 0.0
    found = np.empty(requests)
    for number in range(requests):
        found[number] = waited + services[number]
        ahead = gaps[number + 1] if number + 1 < requests else 0.0
        waited = max(0.0, waited + services[number] - ahead)
    return found[requests // 10 :]


def _possible(rate_qps: float, times: Times) -> float:
    rho = busy(rate_qps, times)
    if rho >= 1:
        raise ConfigError(f"{rate_qps:g} a second of {times.mean():.1f} ms each is more than fits")
    return rho


def _spread(at: Times, cells: int) -> Times:
    """Each value shared between the two cells it lies between, so that means stay."""
    low = np.minimum(at.astype(np.int64), cells - 2)
    part = np.minimum(at - low, 1.0)
    mass = np.bincount(low, 1 - part, cells) + np.bincount(low + 1, part, cells)
    return np.asarray(mass / len(at))
