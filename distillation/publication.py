"""What goes out with the weights: terms, card, and the sets they are measured on."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from pydantic import ConfigDict

from distillation.tables import read_table
from rerank_core.artifact import Licence
from rerank_core.measures import Scale

_STRICT = ConfigDict(extra="forbid", strict=True)


@dataclass(frozen=True)
class JudgedSet:
    """A BEIR folder under the data root, one split of it, and the scale of its judgments."""

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT

    folder: str
    floor: float
    top: float
    split: str = "dev"
    reporting_half: bool = False
    """Leave out the half of the queries that checkpoints were chosen on."""

    def __post_init__(self) -> None:
        if not self.floor < self.top:
            raise ValueError("floor must be below top")

    @property
    def name(self) -> str:
        """The folder's name, the split, and which part of it."""
        return f"{self.folder} {self.split}" + (", reporting half" if self.reporting_half else "")

    @property
    def scale(self) -> Scale:
        """What the scores are worth."""
        return Scale(self.floor, self.top)


@dataclass(frozen=True)
class Publication:
    """One TOML file; the files it names lie beside it."""

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT

    licence: Licence
    licence_file: str
    card: str
    """Markdown with ``$facts`` and ``$table``."""
    sets: tuple[JudgedSet, ...]


def read_publication(path: Path) -> Publication:
    """The publication in a TOML file. Raises `ConfigError` naming the file and each wrong key."""
    return read_table(Publication, path)
