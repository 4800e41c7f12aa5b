"""The plan of a study: arms, seeds and the set that decides, as one TOML file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

from pydantic import ConfigDict

from distillation.tables import read_table

_STRICT = ConfigDict(extra="forbid", strict=True)


@dataclass(frozen=True)
class Arm:
    """One recipe with changes, at several seeds."""

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT

    name: str
    recipe: str
    """Beside the plan, or a path from there."""
    seeds: tuple[int, ...]
    changes: tuple[str, ...] = ()
    labels: int | None = None
    """How many labels it learns from, where it is a point of the scale curve."""
    control: bool = False
    """Must be worse than the largest arm of the curve."""


@dataclass(frozen=True)
class Plan:
    """The arms, and which of them the claims are about."""

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT

    name: str
    decides: str
    """The set whose nDCG@10 decides."""
    human: str
    """The arm on human labels alone."""
    teacher: str
    """The recipe whose teacher is the one to pass."""
    arms: tuple[Arm, ...]


def read_plan(path: Path) -> Plan:
    """The plan in a TOML file. Raises `ConfigError`."""
    return read_table(Plan, path)


Role = Literal["select", "report"]
ROLES: tuple[Role, ...] = ("select", "report")
