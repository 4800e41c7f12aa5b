"""Which fields of an index a search body reads: in one that it lacks a cluster finds nothing."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping
from fnmatch import fnmatchcase
from functools import lru_cache
from typing import Any

from rerank_core.cluster.templates.rendering import render
from rerank_core.cluster.templates.template import Template
from rerank_core.errors import ConfigError, InputError

_KEYED_BY_FIELD = frozenset(
    {
        "fuzzy",
        "intervals",
        "knn",
        "match",
        "match_bool_prefix",
        "match_phrase",
        "match_phrase_prefix",
        "neural",
        "prefix",
        "range",
        "regexp",
        "term",
        "terms",
        "terms_set",
        "wildcard",
    }
)
"""Queries that are written as ``{"term": {FIELD: ...}}``."""
_BESIDE_THE_FIELD = ("boost", "_name")
_QUERIES = ("query", "post_filter", "knn", "retriever", "rescore")
_AGGREGATIONS = ("aggs", "aggregations")


def fields_read(body: Mapping[str, Any]) -> frozenset[str]:
    """Fields that a search body searches, filters, sorts, collapses and counts by.

    As they are written, such as ``*.unstemmed``, without boosts. Not those that it only returns.
    """
    found = {name for part in _QUERIES if part in body for name in _of_query({part: body[part]})}
    found |= {name for order in _listed(body.get("sort")) for name in _names(order)}
    if isinstance(collapse := body.get("collapse"), Mapping):
        found |= set(_names(collapse.get("field")))
    return _plain(found) | fields_counted(body)


def fields_counted(body: Mapping[str, Any]) -> frozenset[str]:
    """Those of its aggregations alone."""
    return _plain(name for part in _AGGREGATIONS for name in _of_counts(body.get(part)))


def absent(names: Collection[str], fields: Collection[str]) -> tuple[str, ...]:
    """Which of `names` an index with `fields` lacks; a name with ``*`` is there if one fits it."""
    return tuple(
        name for name in sorted(names) if not any(fnmatchcase(one, name) for one in fields)
    )


def reads(template: Template) -> dict[str, frozenset[str]]:
    """What a template reads by itself, under the empty name, and what each parameter adds to it.

    Found by rendering its examples. Fields that a parameter's value names are the caller's and left
    out. Of a template whose parameters nobody declared, nothing is known.
    """
    if not template.schema:
        return {}
    always = _always(template)
    found = {"": always}
    for name in template.declared:
        shown = [one[name] for one in template.examples if one.get(name) is not None]
        if name not in template.schema.get("required", ()) and shown:
            added = fields_added(template, name, json.dumps(shown[0])) - always
            if own := frozenset(field for field in added if not _is_named(field, shown[0])):
                found[name] = own
    return found


@lru_cache(maxsize=1024)
def fields_added(template: Template, parameter: str, value: str) -> frozenset[str]:
    """What a template reads with a parameter set to `value`, in JSON, and not without.

    Of a value that does not render, nothing is known.
    """
    try:
        with_it = render(template, _with({parameter: json.loads(value)}, template))
    except (ConfigError, InputError):
        return frozenset()
    return fields_read(with_it) - _always(template)


@lru_cache(maxsize=256)
def _always(template: Template) -> frozenset[str]:
    given = _needed(template)
    try:
        found = fields_read(render(template, _with({}, template)))
    except (ConfigError, InputError):
        return frozenset()
    return frozenset(field for field in found if not _is_named(field, [*given.values()]))


def _with(given: Mapping[str, Any], template: Template) -> dict[str, Any]:
    return template.complete({**_needed(template), **given})


def _needed(template: Template) -> dict[str, Any]:
    """The required parameters alone, as the first example has them."""
    [example, *_] = template.examples or ({},)
    return {name: example[name] for name in template.schema.get("required", ()) if name in example}


def _is_named(field: str, value: Any) -> bool:
    return f'"{field}' in json.dumps(value, ensure_ascii=False)


def _plain(names: Collection[str] | Iterator[str]) -> frozenset[str]:
    # Such as _score and _id, which every index has.
    cut = (name.partition("^")[0] for name in names)
    return frozenset(name for name in cut if name and not name.startswith("_"))


def _names(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        yield from map(str, value)


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [] if value is None else [value]


def _of_query(node: Any) -> Iterator[str]:
    if isinstance(node, list):
        for part in node:
            yield from _of_query(part)
    if not isinstance(node, Mapping):
        return
    for key, value in node.items():
        if key == "like":  # products, not fields
            continue
        if key == "field" and isinstance(value, str):
            yield value
        elif key == "fields" and isinstance(value, list):
            yield from (name for name in value if isinstance(name, str))
        elif key in _KEYED_BY_FIELD and isinstance(value, Mapping) and "field" not in value:
            yield from (name for name in value if name not in _BESIDE_THE_FIELD)
        yield from _of_query(value)


def _of_counts(node: Any) -> Iterator[str]:
    if not isinstance(node, Mapping):
        return
    for counted in node.values():
        for kind, settings in counted.items() if isinstance(counted, Mapping) else ():
            if kind in _AGGREGATIONS:
                yield from _of_counts(settings)
            elif kind in ("filter", "filters"):
                yield from _of_query(settings)
            elif isinstance(settings, Mapping):
                yield from _names(settings.get("field"))
