"""A search template: its source, its id, and the schema of its parameters."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from functools import cache
from typing import Any

import jsonschema_rs

from rerank_core.cluster.templates.uses import Use, uses
from rerank_core.errors import ConfigError, InputError
from rerank_core.hashing import canonical_json, hash_json

_HASH_DIGITS = 12
_PROSE = ("description", "examples", "title", "$comment")
_NAME = re.compile(r"[a-z][a-z0-9_]*")
_SCALARS = {"string", "number", "integer", "boolean"}
_WRITTEN_AS_JSON = {"array", "object", "number", "integer", "boolean"}
_SECTIONS = {"boolean", "object", "null"}


@dataclass(frozen=True, slots=True)
class Template:
    """A mustache search template. Another source or default is another id: a live one stays."""

    name: str
    """Such as ``lexical``."""
    source: str
    schema: Mapping[str, Any] = field(default_factory=dict, hash=False)
    """JSON schema of its parameters, with description and examples; empty where none is known."""

    @property
    def id(self) -> str:
        """``name@hash``, under which the cluster stores it: of all that a body follows from."""
        return f"{self.name}@{hash_json([self.source, self.contract])[:_HASH_DIGITS]}"

    @property
    def contract(self) -> dict[str, Any]:
        """Its schema without what only people read: parameters, their bounds and defaults."""
        kept = {name: value for name, value in self.schema.items() if name not in _PROSE}
        if self.declared:
            kept["properties"] = {
                name: {key: value for key, value in kind.items() if key not in _PROSE}
                for name, kind in self.declared.items()
            }
        return kept

    @property
    def description(self) -> str:
        """What it is for."""
        return str(self.schema.get("description", ""))

    @property
    def examples(self) -> tuple[Mapping[str, Any], ...]:
        """Parameters that show it at work."""
        return tuple(self.schema.get("examples", ()))

    @property
    def requires(self) -> frozenset[str]:
        """What a cluster must have to run it, such as ``hybrid``."""
        return frozenset(self.schema.get("x-requires", ()))

    @property
    def declared(self) -> Mapping[str, Any]:
        """Schemas of the parameters by name; empty where none is known."""
        found: Mapping[str, Any] = self.schema.get("properties", {})
        return found

    def missing_fields(self, fields: Collection[str]) -> list[str]:
        """Which fields it needs that an index with these does not have, such as ``*.unstemmed``.

        A cluster would find nothing in them, and not say so.
        """
        needed: Sequence[str] = self.schema.get("x-requires-fields", ())
        return [one for one in needed if not any(fnmatchcase(name, one) for name in fields)]

    def complete(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """The parameters that both modes render: `given`, checked, and the defaults of the others.

        Raises `InputError` with the parameter's name for one that is missing, unknown or of the
        wrong kind.
        """
        if not self.schema:
            return dict(given)
        defaults = {
            name: kind["default"] for name, kind in self.declared.items() if "default" in kind
        }
        whole = {**defaults, **given}
        for name in self.schema.get("required", ()):
            if name not in whole:
                raise InputError(name, f"template {self.id} needs it, and nobody gives it")
        for name in whole:
            if name not in self.declared:
                there = ", ".join(self.declared)
                raise InputError(name, f"template {self.id} has no such parameter; it has: {there}")
        for fault in _validator(canonical_json(self.schema)).iter_errors(whole):
            path = ".".join(str(part) for part in fault.instance_path)
            # The whole message would repeat a vector or a page of text.
            raise InputError(path or "parameters", f"template {self.id}: {fault.message[:200]}")
        return whole

    def check(self, where: str) -> None:
        """That both modes can render it alike, and that no parameter's text can break out.

        Raises `ConfigError` that begins with `where` and names each fault.
        """
        faults = [*self._faults()]
        if faults:
            raise ConfigError(f"{where}: {'; '.join(faults)}")

    def _faults(self) -> Iterator[str]:
        try:
            jsonschema_rs.meta.validate(dict(self.schema))
        except jsonschema_rs.ValidationError as fault:
            yield f"its schema is none: {fault.message}"
            return
        if not self.description:
            yield "has no description; say in its schema what it is for"
        if not self.examples:
            yield "has no examples; give its schema one, it is what tests render"
        for name in self.declared:
            if not _NAME.fullmatch(name) or hasattr(bool, name):
                yield f"parameter {name!r}: a name is small letters, digits and '_'"
        used: set[str] = set()
        for use in uses(self.source):
            used.add(use.name.split(".")[0])
            yield from self._fault_of(use)
        for name in self.declared:
            if name not in used:
                yield f"parameter {name} is declared and not used"

    def _fault_of(self, use: Use) -> Iterator[str]:
        how, name = use.how, use.name
        if use.fault:
            yield f"{name}: {use.fault}"
            return
        if how in ("{", "&", ">", "="):
            yield f"{{{{{how}{name}}}}}: only {{{{name}}}}, toJson, join and sections are used here"
            return
        kind = self._kind(name)
        if kind is None:
            yield f"{name}: is used and not declared in the schema"
            return
        types = _types(kind)
        if not how and not types <= _SCALARS:
            yield f"{name}: is no scalar, write {{{{#toJson}}}}{name}{{{{/toJson}}}}"
        if not use.quoted and (how == "join" or (not how and "string" in types)):
            # What is escaped for a text is structure outside of one: [1,2] would be a list.
            yield f"{name}: is text and stands outside of quotes; write them around it"
        if how == "toJson" and use.quoted:
            yield f"{name}: toJson writes quotes of its own; take away those around it"
        if how == "toJson" and not types <= _WRITTEN_AS_JSON | {"null"}:
            # The cluster writes it as it is, without quotes and without escaping.
            yield f"{name}: may be a string, which toJson does not quote; write {{{{{name}}}}}"
        if how == "join" and "enum" not in kind.get("items", {}):
            # The cluster joins without escaping: only what cannot hold a quote may be joined.
            yield f"{name}: join escapes nothing, so its items must be of an enum; or use toJson"
        if how in ("#", "^") and not (types <= _SECTIONS and _is_told_apart(kind)):
            yield (
                f"{name}: a section is of a boolean, or of an object that is null where it is not "
                "given and never empty: engines differ in what they take for false"
            )

    def _kind(self, path: str) -> Mapping[str, Any] | None:
        """The schema of a parameter, or of what stands within it."""
        kind: Mapping[str, Any] | None = {"properties": self.declared}
        for part in path.split("."):
            kind = None if kind is None else kind.get("properties", {}).get(part)
        return kind


def _types(kind: Mapping[str, Any]) -> set[str]:
    is_a = kind.get("type", "string")
    return {is_a} if isinstance(is_a, str) else set(is_a)


def _is_told_apart(kind: Mapping[str, Any]) -> bool:
    """An empty object is true to the cluster and false to others, so there must be none."""
    return "object" not in _types(kind) or bool(kind.get("required") or kind.get("minProperties"))


@cache
def _validator(schema: bytes) -> jsonschema_rs.Validator:
    return jsonschema_rs.validator_for(schema.decode())
