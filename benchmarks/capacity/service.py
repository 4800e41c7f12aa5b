"""Service time of a request, from the measured costs of a result file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from statistics import median

import numpy as np
from scipy.optimize import nnls

from benchmarks.points import Point, SuiteResult
from rerank_core.errors import ConfigError


@dataclass(frozen=True)
class ServiceModel:
    """Milliseconds of a request alone on a replica.

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
    """Service times of one caller alone by their mean: how requests differ from each other."""
    worst_error: float
    """Of the fit, at the points it was made from, as a share of what was measured."""

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
        one, all_cores = (_ms(point) for point in by["threads"])
        layers = {int(float(point.factors["layers"])): _ms(point) for point in by["layers"]}
        whole = layers[max(layers)]
        paths = {str(point.factors["path"]): _ms(point) for point in by["path"]}
        alone = next(one for one in saturation.points if one.factors.get("callers") == 1)
        samples = np.array(alone.series["service_ms"])
        return cls(
            *terms,
            serial=_serial(one, all_cores, result.machine.cores),
            measured_cores=result.machine.cores,
            tokens_a_pair=by["threads"][0].figures["tokens_a_pair"],
            layers={count: ms / whole for count, ms in sorted(layers.items())},
            fp32=paths["fp32"] / paths["default"],
            spread=tuple((samples / samples.mean()).tolist()),
            worst_error=worst,
        )


def _ms(point: Point) -> float:
    return median(point.series["service_ms"])


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


def _serial(one_ms: float, all_ms: float, cores: int) -> float:
    """Amdahl's serial share from the times on one core and on all; between none and all."""
    if cores < 2:
        return 0.0
    share = (all_ms / one_ms - 1 / cores) / (1 - 1 / cores)
    return min(max(share, 0.0), 1.0)
