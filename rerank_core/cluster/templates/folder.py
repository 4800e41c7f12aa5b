"""Template folders: ``NAME.mustache`` beside ``NAME.json``, and what the examples render to."""

from __future__ import annotations

import json
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

from rerank_core.cluster.templates.template import Template
from rerank_core.errors import ConfigError

_SUFFIX = ".mustache"
ENGINES = ("opensearch", "elasticsearch")
SHIPPED = files(__package__) / "shipped"


def load_templates(folder: Path | None = None, engine: str = "opensearch") -> tuple[Template, ...]:
    """All templates of a folder for an engine, by name; None is the folder of this package.

    ``NAME.elasticsearch.mustache`` stands in for ``NAME.mustache`` there. Raises `ConfigError`
    naming each fault of the first file that has some.
    """
    there = _files(folder)
    where = str(folder) if folder else "shipped templates"
    names = sorted({name.split(".")[0] for name in there if name.endswith(_SUFFIX)})
    if not names:
        raise ConfigError(f"{where}: holds no NAME{_SUFFIX}")
    found = []
    for name in names:
        file = there.get(f"{name}.{engine}{_SUFFIX}") or there.get(f"{name}{_SUFFIX}")
        if file is None:
            continue  # for another engine alone
        schema_file = there.get(f"{name}.{engine}.json") or there.get(f"{name}.json")
        if schema_file is None:
            raise ConfigError(
                f"{where}: {file.name} has no {name}.json; write the JSON schema of its parameters"
            )
        template = Template(name, _read(file), _json(schema_file, where))
        template.check(f"{where}: {file.name}")
        found.append(template)
    return tuple(found)


def golden_name(template: Template, engine: str, folder: Path | None = None) -> str:
    """The file of what its examples render to, below ``golden/``."""
    own = f"{template.name}.{engine}{_SUFFIX}" in _files(folder)
    return f"{template.name}.{engine}.json" if own else f"{template.name}.json"


def read_golden(template: Template, engine: str, folder: Path | None = None) -> Any:
    """What the examples must render to, a list; None where nobody has written it down."""
    root: Traversable = folder or SHIPPED
    file = root / "golden" / golden_name(template, engine, folder)
    return _json(file, str(root)) if file.is_file() else None


def write_golden(template: Template, engine: str, bodies: Any, folder: Path) -> Path:
    """Writes it down; the file."""
    file = folder / "golden" / golden_name(template, engine, folder)
    file.parent.mkdir(exist_ok=True)
    file.write_text(json.dumps(bodies, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    return file


def copy_shipped(folder: Path) -> int:
    """Copies the package's folder; how many files. Raises `ConfigError` where it exists."""
    try:
        folder.mkdir(parents=True)
        (folder / "golden").mkdir()
        copied = 0
        for part, into in ((SHIPPED, folder), (SHIPPED / "golden", folder / "golden")):
            for file in part.iterdir():
                if file.is_file():
                    (into / file.name).write_text(_read(file), encoding="utf-8")
                    copied += 1
    except OSError as error:
        raise ConfigError(f"{folder}: {error.strerror or error}; name a new folder") from error
    return copied


def _files(folder: Path | None) -> dict[str, Traversable]:
    root: Traversable = folder or SHIPPED
    try:
        return {file.name: file for file in root.iterdir()}
    except OSError as error:
        raise ConfigError(f"{folder}: {error.strerror or error}; name a template folder") from error


def _read(file: Traversable) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{file.name}: cannot be read: {error}") from error


def _json(file: Traversable, where: str) -> Any:
    try:
        return json.loads(_read(file))
    except ValueError as error:
        raise ConfigError(f"{where}: {file.name}: not JSON: {error}") from error
