"""Service time of a request, from the measured costs of a result file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, median

import numpy as np
from scipy import stats
from scipy.optimize import nnls

from benchmarks.points import Point, SuiteResult
from rerank_core.errors import ConfigError

# Ten lie beyond the 99th percentile, or it is the luck of a few.
_SUPPORTED = 1000


@dataclass(frozen=True)
class ServiceModel:
    """Mean milliseconds of a request alone on a replica.

    ``(constant + pairs x (a_pair + a_token x tokens + a_square x tokens^2)) x layers x cores``,
    where cores follow Amdahl's law: a serial part, and one that all cores share.
    """

    constant: float
    a_pair: float
    a_token: float
    a_square: float
    serial: float
    """Share of one core's time that more cores do not shorten."""
    measured_cores: int
    tokens_a_pair: float
    """Of the titles it was measured on."""
    layers: Mapping[int, float]
    """Time by that of all layers, by how many there are."""
    fp32: float
    """Time in fp32 by that of the default path."""
    spread: tuple[float, ...]
    """Service times of one caller alone by their mean: how requests differ (`spread_of`)."""
    samples: int
    """Service times that the spread was made from."""
    worst_error: float
    """Of the fit, at the points it was made from, as a share of what was measured."""
    faulted: tuple[str, ...] = ()
    """Points with faults that it rests on."""

    @property
    def tail_measured(self) -> bool:
        """Whether the samples support a p99; else its tail is a fitted lognormal's."""
        return self.samples >= _SUPPORTED

    def service_ms(
        self, candidates: float, tokens: float, cores: int, factor: float = 1.0
    ) -> float:
        """The mean; `factor` is of fewer layers or another path."""
        pair = self.a_pair + self.a_token * tokens + self.a_square * tokens**2
        return factor * (self.constant + candidates * pair) * self._cores(cores)

    def _cores(self, cores: int) -> float:
        def time(count: int) -> float:
            return self.serial + (1 - self.serial) / count

        return time(cores) / time(self.measured_cores)

    @classmethod
    def measured(cls, result: SuiteResult) -> ServiceModel:
        """From scenarios `cost` and `saturation`. Raises `ConfigError` where they are not there."""
        cost, saturation = result.scenario("cost"), result.scenario("saturation")
        if cost is None or saturation is None:
            raise ConfigError(
                "the result file lacks scenario cost or saturation; run python -m benchmarks run "
                "saturation cost --out FILE"
            )
        by = {
            name: [one for one in cost.points if one.factors["varied"] == name]
            for name in ("candidates", "tokens", "threads", "layers", "path")
        }
        terms, worst = _fit(by["candidates"] + by["tokens"])
        one, all_cores = by["threads"]
        layers = {int(float(point.factors["layers"])): point for point in by["layers"]}
        whole = layers[max(layers)]
        paths = {str(point.factors["path"]): point for point in by["path"]}
        alone = next(one for one in saturation.points if one.factors.get("callers") == 1)
        samples = alone.series["service_ms"]
        return cls(
            *terms,
            serial=_serial(paired_ratio(all_cores, one), result.machine.cores),
            measured_cores=result.machine.cores,
            tokens_a_pair=by["threads"][0].figures["tokens_a_pair"],
            layers={count: paired_ratio(one, whole) for count, one in sorted(layers.items())},
            fp32=paired_ratio(paths["fp32"], paths["default"]),
            spread=spread_of(samples),
            samples=len(samples),
            worst_error=worst,
            faulted=tuple(one.name for one in (*cost.points, alone) if one.faults),
        )


def spread_of(samples_ms: Sequence[float]) -> tuple[float, ...]:
    """Times by their mean, so that theirs is 1.

    From a thousand on, those measured. Of fewer, a thousand quantiles of a lognormal with the mean
    and deviation of their logarithms: one outlier of fifty would be the whole p99 otherwise.
    """
    times = np.asarray(samples_ms, np.float64)
    if len(times) < _SUPPORTED:
        logs = np.log(times)
        at = (np.arange(_SUPPORTED) + 0.5) / _SUPPORTED
        times = np.exp(logs.mean() + logs.std() * stats.norm.ppf(at))
    return tuple((times / times.mean()).tolist())


def paired_ratio(point: Point, base: Point) -> float:
    """Median ratio of times of one round each: both saw the same mood of the machine, and texts."""
    times, others = point.series["service_ms"], base.series["service_ms"]
    return median(one / other for one, other in zip(times, others, strict=True))


def _ms(point: Point) -> float:
    # A queue is as long as the mean makes it.
    return fmean(point.series["service_ms"])


def _fit(points: list[Point]) -> tuple[tuple[float, float, float, float], float]:
    """Terms, none below zero, with the least sum of squared relative errors; the worst error."""
    rows = []
    for point in points:
        pairs, tokens = point.figures["candidates"], point.figures["tokens_a_pair"]
        rows.append([1.0, pairs, pairs * tokens, pairs * tokens**2])
    taken = np.array([_ms(point) for point in points])
    matrix = np.array(rows) / taken[:, None]
    # Columns of one size, or the solver's tolerance decides which are kept.
    scale = np.linalg.norm(matrix, axis=0)
    found = nnls(matrix / scale, np.ones(len(points)))[0] / scale
    error = float(np.abs(matrix @ found - 1).max())
    constant, a_pair, a_token, a_square = found.tolist()
    return (constant, a_pair, a_token, a_square), error


def _serial(ratio: float, cores: int) -> float:
    """Amdahl's serial share from the time on all cores by that on one; between none and all."""
    if cores < 2:
        return 0.0
    share = (ratio - 1 / cores) / (1 - 1 / cores)
    return min(max(share, 0.0), 1.0)
