"""What a scenario measures, and the result file that holds it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.load.histogram import histogram
from benchmarks.load.samples import LoadRun, percentiles
from benchmarks.machine import Load, Machine
from benchmarks.results import Absent
from rerank_core.errors import ConfigError
from rerank_core.records import read_json, to_json

FORMAT = 1

# Of a series, in its unit: 10 microseconds of milliseconds. So files can be kept.
_DIGITS = 2

Factor = float | str


@dataclass(frozen=True)
class Point:
    """One combination of factors, and what was seen there."""

    factors: dict[str, Factor]
    """What was set, such as ``{"offered_qps": 8.0}``. They name the point."""
    series: dict[str, tuple[float, ...]] = field(default_factory=dict)
    """Raw samples in the order of their intended times, by what they are, unit in the name."""
    figures: dict[str, float] = field(default_factory=dict)
    """What follows from them, and what is one number anyway."""
    histograms: dict[str, str] = field(default_factory=dict)
    """Series as HDR histograms in interchange form."""
    faults: tuple[str, ...] = ()
    """Why it is not to be believed."""
    warnings: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """The factors in one line."""
        return ", ".join(f"{name} {_shown(value)}" for name, value in self.factors.items())


@dataclass(frozen=True)
class Scenario:
    """A question and its points."""

    name: str
    about: str
    """What was asked of whom, in one sentence; with what the figures mean."""
    load_before: Load
    load_after: Load
    points: tuple[Point, ...]
    commit: str = ""
    """Of the build that was measured; a file may hold scenarios of several."""
    data: str = ""
    """Name of the folder that the texts come from."""
    candidates: int = 0
    quick: bool = False


@dataclass(frozen=True)
class SuiteResult:
    """All that `benchmarks run` measured."""

    format: int
    machine: Machine
    model: str
    model_hash: str
    numeric_path: str
    scenarios: tuple[Scenario, ...]
    absent: tuple[Absent, ...] = ()

    def scenario(self, name: str) -> Scenario | None:
        """The one of that name; None where it was not run."""
        return next((one for one in self.scenarios if one.name == name), None)


def series_point(
    factors: Mapping[str, Factor],
    series: Mapping[str, Sequence[float]],
    figures: Mapping[str, float] | None = None,
) -> Point:
    """A point of rounded series; of those in milliseconds also histograms and percentiles."""
    found = dict(figures or {})
    histograms = {}
    for name, values in series.items():
        if name.endswith("_ms") and values:
            histograms[name] = histogram(values)
            # Of a few, their middle: it says where they lie and claims nothing of others.
            told = percentiles(values) or {"median": median(values)}
            found |= {
                f"{name.removesuffix('_ms')}_{percent}_ms": ms for percent, ms in told.items()
            }
    return Point(
        # Whole numbers, too, are written and read back as what they are declared.
        {name: one if isinstance(one, str) else float(one) for name, one in factors.items()},
        {name: tuple(round(value, _DIGITS) for value in values) for name, values in series.items()},
        {name: round(float(value), 4) for name, value in found.items()},
        histograms,
    )


def load_point(run: LoadRun, factors: Mapping[str, Factor], candidates: int) -> Point:
    """A load run as a point. Answers alone have a latency; errors are counted.

    Percentiles ``full_...`` are of the whole answers: a shed one comes in no time.
    """
    counted = len(run.counted)
    outcomes = run.outcomes
    answered = run.answered
    goodputs = [one.goodput_qps for one in run.slices]
    point = series_point(
        factors,
        {
            "intended_s": [one.intended_s for one in answered],
            "latency_ms": run.latencies_ms,
            "service_ms": run.service_ms,
            "full_latency_ms": run.full_ms,
            "scored_share": [one.scored / candidates for one in answered],
        },
        {
            "requests": float(counted),
            "counted_s": run.plan.counted_s,
            "reached_qps": run.reached_qps,
            "goodput_qps": run.goodput_qps,
            "client_capacity_qps": run.capacity_qps,
            **({"lag_p99_ms": run.lag_p99_ms} if counted else {}),
            **{f"full_{name}_ms": ms for name, ms in percentiles(run.full_ms).items()},
            **{
                f"{name}_share": outcomes[name] / counted if counted else 0.0
                for name in ("full", "degraded", "error")
            },
            **{f"because_{name}": float(count) for name, count in run.details.items()},
            **(
                {
                    "slices": float(len(goodputs)),
                    "goodput_least_qps": min(goodputs),
                    "goodput_most_qps": max(goodputs),
                }
                if goodputs
                else {}
            ),
        },
    )
    return replace(point, faults=tuple(run.faults()), warnings=tuple(run.warnings()))


def write_suite(result: SuiteResult, path: Path) -> None:
    """A line a point, whole or not at all. Raises `ConfigError`."""
    staged = path.with_name(f".{path.name}.new")
    try:
        staged.write_text(_laid_out(to_json(result)), encoding="utf-8")
        staged.replace(path)
    except OSError as error:
        staged.unlink(missing_ok=True)
        raise ConfigError(f"{path}: {error.strerror}; name a file that can be written") from error


def read_suite(path: Path) -> SuiteResult:
    """What `write_suite` wrote. Raises `ConfigError` for anything else, other formats too."""
    result = read_json(SuiteResult, path, str(path), ConfigError)
    if result.format != FORMAT:
        raise ConfigError(f"{path}: format {result.format}, this version reads {FORMAT}")
    return result


def _laid_out(content: Mapping[str, Any]) -> str:
    scenarios = []
    for scenario in content["scenarios"]:
        head = {name: value for name, value in scenario.items() if name != "points"}
        points = ",\n".join(_dense(point) for point in scenario["points"])
        scenarios.append(_dense(head)[:-1] + f',"points":[\n{points}\n]}}')
    rest = {name: value for name, value in content.items() if name != "scenarios"}
    whole = ",\n".join(scenarios)
    return (
        json.dumps(rest, indent=1, ensure_ascii=False)[:-2] + f',\n "scenarios": [\n{whole}\n]}}\n'
    )


def _dense(value: object) -> str:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def _shown(value: Factor) -> str:
    return value if isinstance(value, str) else f"{value:g}"
