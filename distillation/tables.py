"""Frozen records out of TOML files."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from rerank_core import records
from rerank_core.errors import ArtifactError, ConfigError

Record = TypeVar("Record")


def read_toml(path: Path) -> dict[str, Any]:
    """The table in a TOML file. Raises `ConfigError` naming the file."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror or error}; give a TOML file") from error
    except ValueError as error:
        raise ConfigError(f"{path}: not TOML: {error}") from error


def merge(base: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """`base` with the keys of `above` over it; tables are merged, lists are replaced."""
    merged = dict(base)
    for key, value in above.items():
        below = merged.get(key)
        both = isinstance(below, Mapping) and isinstance(value, Mapping)
        merged[key] = merge(below, value) if both else value  # type: ignore[arg-type]
    return merged


def read_table(kind: type[Record], path: Path) -> Record:
    """The record in a TOML file.

    Raises `ConfigError` naming the file and each key that is missing, unknown or out of bounds.
    """
    table = read_toml(path)
    try:
        # By way of JSON, since strict reading takes a tuple from a JSON list only.
        text = json.dumps(table, default=str)
        return records.read_json(kind, text, str(path), ConfigError)
    except ArtifactError as error:
        raise ConfigError(f"{path}: {error}") from error
