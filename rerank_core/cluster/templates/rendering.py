"""Templates rendered in this process, as the cluster's own mustache would."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

import combustache

from rerank_core.cluster.templates.template import Template
from rerank_core.errors import ConfigError

_JOIN = re.compile(r"{{#(join(?: delimiter='([^'{}]*)')?)}}")


def render(template: Template, parameters: Mapping[str, Any]) -> dict[str, Any]:
    """The search body that a cluster makes of `parameters`, which `Template.complete` gave.

    Raises `ConfigError` for a template that cannot be rendered to a JSON object.
    """
    where = f"template {template.id}"
    try:
        text = _parsed(template.source).render(
            {**parameters, **_functions(template.source, parameters)},
            stringify=_text,
            escape=_escaped,
            missing_data=_missing,
        )
    except combustache.CombustacheError as error:
        raise ConfigError(f"{where}: is no mustache: {error}") from error
    except (KeyError, TypeError) as error:
        raise ConfigError(f"{where}: a parameter is missing or of another kind: {error}") from error
    try:
        body = json.loads(text)
    except ValueError as error:
        raise ConfigError(f"{where}: what it renders is no JSON: {error}") from error
    if not isinstance(body, dict):
        raise ConfigError(f"{where}: renders no JSON object")
    return body


@cache
def _parsed(source: str) -> combustache.Template:
    return combustache.Template(source)


def _functions(source: str, parameters: Mapping[str, Any]) -> dict[str, Callable[[str], str]]:
    # Lambdas indeed: what a function of another name gives, the library would not write.
    found: dict[str, Callable[[str], str]] = {
        "toJson": lambda name: _plain(json.dumps(_found(parameters, name), ensure_ascii=False))
    }
    for tag, delimiter in _JOIN.findall(source):
        found[tag] = _joining(parameters, delimiter or ",")
    return found


def _joining(parameters: Mapping[str, Any], by: str) -> Callable[[str], str]:
    return lambda name: _plain(by.join(_text(item) for item in _found(parameters, name)))


def _found(parameters: Mapping[str, Any], name: str) -> Any:
    value: Any = parameters
    for part in name.strip().split("."):
        value = value[part]
    return value


def _plain(text: str) -> str:
    """The library renders once more what a function gives; in JSON, braces may be written so."""
    return text.replace("{{", "\\u007b\\u007b")


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    return "" if value is None else json.dumps(value)


def _escaped(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)[1:-1]


def _missing() -> str:
    raise KeyError("not given")
