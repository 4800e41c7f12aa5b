"""Whether an index can answer what a search filters, counts, collapses and shows by."""

from __future__ import annotations

import math
from collections.abc import Sequence

from rerank_core.cluster.profile import FacetRule, FilterRule, Profile
from rerank_core.cluster.resolver import Resolved
from rerank_core.errors import InputError, ReleaseError
from sidecar.search_task import SearchTask

_TEXT = "text"
_NO_RANGE = ("keyword", "boolean")
_NUMBERS = frozenset({"double", "float", "half_float", "long", "integer", "short", "byte"})


def check_fields(
    task: SearchTask, facets: Sequence[str], profile: Profile, resolved: Resolved
) -> None:
    """That the fields of what is asked for can answer: the cluster would find nothing, silently.

    Raises `ReleaseError` naming a field that the index lacks or that is of the wrong type, and
    `InputError` for a value that is none of its field's.
    """
    _check_there(task, facets, profile, resolved)
    about = f"index {resolved.index}: profile {task.profile}"
    for position, item in enumerate(task.filters):
        rule = profile.filters[item.name]
        kind = resolved.fields.get(rule.field, "")
        if kind == _TEXT or (rule.kind == "range" and kind in _NO_RANGE):
            raise ReleaseError(
                f"{about} filters {item.name} by {rule.field}, which is of type {kind}; "
                + _instead(rule, resolved)
            )
        if bad := [value for value in item.values if not _is_of(kind, value)]:
            raise InputError(
                f"filters[{position}]", f"{len(bad)} of its values are no {kind}, as {item.name} is"
            )
    for name in facets:
        field = profile.facets[name].field
        if resolved.fields.get(field) == _TEXT:
            raise ReleaseError(
                f"{about} counts facet {name} by {field}, which is of type text; "
                + _instead(profile.facets[name], resolved)
            )


def _check_there(
    task: SearchTask, facets: Sequence[str], profile: Profile, resolved: Resolved
) -> None:
    """That the index has the fields, and that products are stored with those that are read."""
    stored = {"collapse": profile.collapse} if profile.collapse else {}
    if profile.fields != Profile.fields:  # those that nobody chose an index need not have
        stored |= {f"fields[{place}]": name for place, name in enumerate(profile.fields)}
    used = {f"filter {item.name}": profile.filters[item.name].field for item in task.filters}
    used |= {f"facet {name}": profile.facets[name].field for name in facets}
    for what, field in {**used, **stored}.items():
        if resolved.fields and field not in resolved.fields:
            raise ReleaseError(
                f"index {resolved.index} has no field {field}, which {what} of profile "
                f"{task.profile} reads; name a field of the index in the profile, or rebuild with "
                "a schema that has it"
            )
        whole, dot, _ = field.partition(".")
        if dot and what in stored:
            raise ReleaseError(
                f"index {resolved.index}: {what} of profile {task.profile} reads {field}, which is "
                f"for searching alone and not stored with products; name {whole}"
            )


def _instead(rule: FilterRule | FacetRule, resolved: Resolved) -> str:
    """What the profile should name."""
    whole = f"{rule.field}.keyword"
    if isinstance(rule, FilterRule) and rule.kind == "range":
        return "a range needs a number; name such a field, or rebuild with type number"
    if whole in resolved.fields:
        return f"its words are searched one by one; name {whole}"
    return f"its words are searched one by one; rebuild with type keyword and name {whole}"


def _is_of(kind: str, value: str) -> bool:
    """Whether a field of that type can hold what a caller wrote."""
    if kind == "boolean":
        return value in ("true", "false")
    if kind in _NUMBERS:
        try:
            return math.isfinite(float(value))
        except ValueError:
            return False
    return True
