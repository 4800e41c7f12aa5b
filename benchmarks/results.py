"""Raw samples as frozen records, written to a JSON file and read back."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.machine import Load, Machine
from rerank_core.errors import ConfigError
from rerank_core.records import read_json, to_json

FORMAT = 1


@dataclass(frozen=True)
class Series:
    """One contender's rounds."""

    name: str
    detail: str
    """Its numeric path, version and what else tells it from others."""
    milliseconds: tuple[float, ...]
    """One a round."""
    yardstick: str = ""
    """The series it is compared with, round by round; empty: none."""
    operations_a_token: float = 0.0
    """Nominal, of the encoder's dense products; 0 where they are not what is timed."""
    difference: float | None = None
    """Largest absolute difference of its outputs to those of our fp32."""


@dataclass(frozen=True)
class Peak:
    """What the cores can do at most, measured in the same rounds."""

    name: str
    detail: str
    giga_operations_a_second: tuple[float, ...]
    """One a round."""


@dataclass(frozen=True)
class Trial:
    """Contenders that were timed in the same interleaved rounds on the same texts."""

    title: str
    workload: str
    texts: int
    """Pairs, or texts, that each contender computed a round."""
    tokens: tuple[int, ...]
    """In these, one a round."""
    series: tuple[Series, ...]
    peaks: tuple[Peak, ...] = ()


@dataclass(frozen=True)
class Absent:
    """What could not be measured here, and why."""

    name: str
    reason: str


@dataclass(frozen=True)
class Profile:
    """Where the time of one way of computing goes."""

    name: str
    workload: str
    shares: dict[str, float]
    """Of the whole, by stage or operator; they add up to 1."""
    microseconds_a_token: float | None = None
    """Processor time of the whole, where it was computed on one thread alone."""


@dataclass(frozen=True)
class Foretold:
    """What the cost model said of batches before they were computed, and what they took."""

    name: str
    workload: str
    load: str
    """idle, or loaded: beside as many spinning processes as there are cores."""
    expected_ms: tuple[float, ...]
    taken_ms: tuple[float, ...]
    again_ms: tuple[float, ...] = ()
    """The same batches computed once more right after: what no model could foretell."""


@dataclass(frozen=True)
class EngineResult:
    """All that `benchmarks engine` measured."""

    format: int
    machine: Machine
    load_before: Load
    load_after: Load
    model: str
    model_hash: str
    data: str
    workloads: dict[str, str]
    yardstick: str
    """How R computes."""
    rounds: int
    trials: tuple[Trial, ...]
    profiles: tuple[Profile, ...] = ()
    foretold: tuple[Foretold, ...] = ()
    absent: tuple[Absent, ...] = field(default=())


def write_result(result: object, path: Path) -> None:
    """Writes the file whole or not at all. Raises `ConfigError`."""
    staged = path.with_name(f".{path.name}.new")
    text = json.dumps(to_json(result), indent=1, ensure_ascii=False) + "\n"
    try:
        staged.write_text(text, encoding="utf-8")
        staged.replace(path)
    except OSError as error:
        staged.unlink(missing_ok=True)
        raise ConfigError(f"{path}: {error.strerror}; name a file that can be written") from error


def read_result(path: Path) -> EngineResult:
    """What `write_result` wrote. Raises `ConfigError` for anything else, other formats too."""
    result = read_json(EngineResult, path, str(path), ConfigError)
    if result.format != FORMAT:
        raise ConfigError(f"{path}: format {result.format}, this version reads {FORMAT}")
    return result


def require_writable(path: Path) -> None:
    """Raises `ConfigError` now rather than after an hour of measuring."""
    if path.is_dir() or not path.parent.is_dir():
        raise ConfigError(f"{path}: give a file name in a folder that is there")
