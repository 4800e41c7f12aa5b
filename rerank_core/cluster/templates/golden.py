"""Examples against what somebody wrote down that they render to."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rerank_core.cluster.templates.folder import golden_name, read_golden
from rerank_core.cluster.templates.rendering import render
from rerank_core.cluster.templates.template import Template
from rerank_core.errors import ConfigError, InputError

_MOST_LINES = 40


def rendered_examples(template: Template) -> list[dict[str, Any]]:
    """What its examples render to. Raises `ConfigError`, also for an example that is at fault."""
    try:
        return [render(template, template.complete(example)) for example in template.examples]
    except InputError as error:
        raise ConfigError(f"template {template.id}: its example is at fault: {error}") from error


def golden_diff(template: Template, engine: str, folder: Path | None = None) -> list[str]:
    """Lines that differ, at most forty; empty where all is as written. Raises `ConfigError`."""
    wanted = read_golden(template, engine, folder)
    name = f"golden/{golden_name(template, engine, folder)}"
    if wanted is None:
        return [f"{name} is not there; write it: templates test --update"]
    found = rendered_examples(template)
    return list(_diff(name, wanted, found)) if wanted != found else []


def check_golden(template: Template, engine: str, folder: Path | None = None) -> None:
    """Raises `ConfigError` where the examples do not render to what is written down."""
    if lines := golden_diff(template, engine, folder):
        raise ConfigError(
            f"template {template.id}: its examples do not render to what is written down; see "
            "python -m index_builder templates test, and if it is meant, --update:\n"
            + "\n".join(lines)
        )


def _diff(name: str, wanted: Any, found: Any) -> Iterator[str]:
    before, after = (
        json.dumps(side, indent=2, ensure_ascii=False).splitlines() for side in (wanted, found)
    )
    lines = difflib.unified_diff(before, after, name, "rendered", lineterm="", n=2)
    for number, line in enumerate(lines):
        if number == _MOST_LINES:
            yield "..."
            return
        yield line
