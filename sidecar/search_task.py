"""A search as the caller asks for it, held against the profile that answers it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from rerank_core.cluster.profile import FilterRule, Profile
from rerank_core.engine import Priority
from rerank_core.errors import InputError

Clauses = list[dict[str, Any]]


@dataclass(frozen=True, slots=True)
class FilterTask:
    """A condition on one of the profile's filters: `values`, or at least one end of a range."""

    name: str
    values: tuple[str, ...] = ()
    at_least: float | None = None
    below: float | None = None


@dataclass(frozen=True, slots=True)
class SearchTask:
    """A request, checked for all that does not need its profile."""

    profile: str
    query: str
    page_size: int = 0
    """0: the profile's."""
    page_token: str = ""
    filters: tuple[FilterTask, ...] = ()
    """All must hold."""
    facets: tuple[str, ...] = ()
    parameters: Mapping[str, str] = field(default_factory=dict)
    """For the profile's templates."""
    strict: bool = False
    priority: Priority = Priority.INTERACTIVE


def filter_clauses(filters: Sequence[FilterTask], profile: Profile) -> Clauses:
    """The filters as query clauses. Raises `InputError` for one that the profile does not allow."""
    return [_clause(position, item, profile) for position, item in enumerate(filters)]


def _clause(position: int, item: FilterTask, profile: Profile) -> dict[str, Any]:
    where = f"filters[{position}]"
    rule: FilterRule | None = profile.filters.get(item.name)
    if rule is None:
        raise InputError(f"{where}.field", _not_allowed(item.name, profile.filters))
    if (rule.kind == "values") != bool(item.values):
        needed = "any_of" if rule.kind == "values" else "range"
        raise InputError(where, f"{item.name} takes {needed}")
    if item.values:
        return {"terms": {rule.field: list(item.values)}}
    ends = {"gte": item.at_least, "lt": item.below}
    return {"range": {rule.field: {end: at for end, at in ends.items() if at is not None}}}


def facet_clauses(facets: Sequence[str], profile: Profile) -> dict[str, Any]:
    """The facets as aggregations. Raises `InputError` for one that the profile does not allow."""
    clauses = {}
    for position, name in enumerate(facets):
        rule = profile.facets.get(name)
        if rule is None:
            raise InputError(f"facets[{position}]", _not_allowed(name, profile.facets))
        clauses[name] = {"terms": {"field": rule.field, "size": rule.size}}
    return clauses


def page_size_of(task: SearchTask, profile: Profile) -> int:
    """Hits of a page. Raises `InputError` beyond the profile's depth."""
    if task.page_size > profile.depth:
        raise InputError("page_size", f"at most the profile's depth, {profile.depth}")
    return task.page_size or profile.page_size


def _not_allowed(name: str, allowed: Mapping[str, object]) -> str:
    there = f"it allows: {', '.join(sorted(allowed))}" if allowed else "it allows none"
    return f"the profile does not allow {name!r}; {there}"
