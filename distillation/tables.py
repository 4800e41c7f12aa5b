"""Frozen records out of TOML files."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import TypeVar

from rerank_core import records
from rerank_core.errors import ArtifactError, ConfigError

Record = TypeVar("Record")


def read_table(kind: type[Record], path: Path) -> Record:
    """The record in a TOML file.

    Raises `ConfigError` naming the file and each key that is missing, unknown or out of bounds.
    """
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror or error}; give a TOML file") from error
    except ValueError as error:
        raise ConfigError(f"{path}: not TOML: {error}") from error
    try:
        # By way of JSON, since strict reading takes a tuple from a JSON list only.
        text = json.dumps(table, default=str)
        return records.read_json(kind, text, str(path), ConfigError)
    except ArtifactError as error:
        raise ConfigError(f"{path}: {error}") from error
