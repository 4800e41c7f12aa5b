"""Which legs a search asks, by which templates, with which parameters; and who fuses them."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from rerank_core.cluster.features import Features
from rerank_core.cluster.profile import ASKED, SEARCHED, Profile
from rerank_core.cluster.resolver import Resolved
from rerank_core.cluster.retrieval import LegCall
from rerank_core.cluster.templates import Template, pipeline_name, render
from rerank_core.cluster.templates.fields import absent, fields_added
from rerank_core.errors import ConfigError, InputError, ReleaseError
from sidecar.search_task import SearchTask

HYBRID = "hybrid"
ZERO_RESULTS = "zero-results"


@dataclass(frozen=True, slots=True)
class FirstStage:
    """What is asked of the cluster, and what is done with the answers."""

    calls: Mapping[str, LegCall]
    native: bool
    """The one call is fused already."""
    fusion: str
    """Who fuses, by which method, and why; for people."""
    mode: str
    """``stored`` or ``rendered``."""


@dataclass(frozen=True, slots=True)
class LegMaker:
    """Makes the calls of one search."""

    task: SearchTask
    profile: Profile
    resolved: Resolved
    features: Features
    values: Mapping[str, Any]
    """What a search fills in itself, by parameter."""

    def first_stage(self) -> FirstStage:
        """Raises `ReleaseError` for what the index lacks, `InputError` for a caller's parameter."""
        native, why = self._fuses()
        if native:
            pipeline = ""
            if self.features.native_pipelines:
                pipeline = pipeline_name(self.profile.fusion)
            calls = {HYBRID: self.call(HYBRID, HYBRID, pipeline)}
        else:
            legs = [leg for leg in self.profile.legs if leg != "vector" or "vector" in self.values]
            calls = {leg: self.call(leg, self.profile.template(leg)) for leg in legs}
        self._check_parameters(calls)
        who = "native" if native else "own"
        return FirstStage(calls, native, f"{who} {self.profile.fusion}: {why}", self.mode)

    @property
    def mode(self) -> str:
        """Who renders."""
        return "stored" if self.features.stores_templates else "rendered"

    def call(self, leg: str, name: str, pipeline: str = "", **changes: Any) -> LegCall:
        """One leg by a template. Raises as `first_stage`."""
        release, index = self.resolved.release, self.resolved.index
        if name not in release.templates:
            raise ReleaseError(
                f"index {index}: its release names no template {name} for leg {leg}; push it with "
                f"python -m index_builder templates push --alias {self.profile.alias}, or rebuild"
            )
        template_id, template = release.templates[name], release.template(name)
        if template is None:
            if self.mode == "rendered":
                raise ReleaseError(
                    f"index {index}: does not keep the source of {template_id}, and this cluster "
                    "renders no templates; rebuild it"
                )
            return LegCall(template_id, self._undeclared | changes)
        self._check_declared(leg, template)
        parameters = self._parameters(template) | changes
        try:
            whole = template.complete(parameters)
        except InputError as error:
            raise self._of_parameter(error) from error
        self._check_parameter_fields(template)
        if self.mode == "stored":
            return LegCall(template_id, whole, pipeline=pipeline)
        try:
            return LegCall(template_id, whole, render(template, whole))
        except ConfigError as error:
            raise ReleaseError(f"index {index}: {error}") from error

    def _check_declared(self, leg: str, template: Template) -> None:
        """That nothing of the search is dropped: its answer would be another search's."""
        asked = [name for name in ASKED[leg] if self.values.get(name)] if template.schema else []
        if dropped := [name for name in asked if name not in template.declared]:
            raise ReleaseError(
                f"index {self.resolved.index}: template {template.id} of leg {leg} declares no "
                f"{', '.join(dropped)}; declare and use it, as template {leg} of "
                "python -m index_builder templates copy does, and push it"
            )

    @property
    def _undeclared(self) -> dict[str, Any]:
        """What a template is given of which nobody declared what it takes."""
        return {name: value for name, value in self.values.items() if name != "numbers"}

    def _parameters(self, template: Template) -> dict[str, Any]:
        if not template.schema:
            return self._undeclared
        given = {**self.values, **self._given(template)}
        return {name: value for name, value in given.items() if name in template.declared}

    def _given(self, template: Template) -> dict[str, Any]:
        """What the profile sets of a template's parameters, and the caller above it."""
        declared = template.declared
        by_profile = {
            name: value for name, value in self.profile.parameters.items() if name in declared
        }
        by_caller = {
            name: _read(name, text, declared[name])
            for name, text in self.task.parameters.items()
            if name in declared
        }
        return {**by_profile, **by_caller}

    def _fuses(self) -> tuple[bool, str]:
        profile, features = self.profile, self.features
        weights = set(profile.legs.values())
        here = f"{features.engine} {features.version}"
        for stands, why in (
            (profile.native_fusion == "never", "the profile says never"),
            (bool(features.refuses), f"{here} refuses to fuse: {features.refuses}"),
            (not features.hybrid, f"{here} lacks {features.needs['hybrid']}"),
            (len(profile.legs) < len(("lexical", "vector")), "there is one leg"),
            ("vector" not in self.values, "the vector leg does not run"),
            (len(weights) > 1, "the legs weigh differently"),
            (bool(profile.templates), "the profile has templates of its own"),
            (HYBRID not in self.resolved.release.templates, "the index has no template hybrid"),
            (
                features.engine == "elasticsearch" and profile.fusion != "rrf",
                "elasticsearch fuses by rrf alone",
            ),
        ):
            if stands:
                return False, why
        return True, f"{here} has {features.needs['hybrid']}"

    def _check_parameters(self, calls: Mapping[str, LegCall]) -> None:
        """That somebody reads what the profile or the caller sets."""
        release = self.resolved.release
        names = [call.template_id.partition("@")[0] for call in calls.values()]
        names += [self.profile.template(leg) for leg in self.profile.legs]
        kept = [template for name in names if (template := release.template(name))]
        declared = {name for template in kept for name in template.declared} - SEARCHED
        there = f"they declare: {', '.join(sorted(declared)) or 'none'}"
        for name in self.task.parameters:
            if name not in declared or name not in self.profile.caller_parameters:
                allowed = ", ".join(sorted(declared & set(self.profile.caller_parameters)))
                raise InputError(
                    f"parameters[{name!r}]",
                    f"the profile's templates declare none that callers may give of that name; "
                    f"there is: {allowed or 'none'}",
                )
        for name in self.profile.parameters:
            if name not in declared and kept:
                raise ReleaseError(
                    f"profile {self.task.profile}: parameters.{name} is read by none of its "
                    f"templates ({', '.join(template.id for template in kept)}); {there}"
                )

    def _check_parameter_fields(self, template: Template) -> None:
        """That the index has what the template reads by what the profile or the caller sets.

        Fields that a template reads by itself are the index builder's matter, which says them.
        """
        for name, value in self._given(template).items():
            read = fields_added(template, name, json.dumps(value, sort_keys=True))
            if self.resolved.fields and (gone := absent(read, self.resolved.fields)):
                raise ReleaseError(
                    f"index {self.resolved.index} has no field {', '.join(gone)}, which template "
                    f"{template.id} reads by parameter {name} of profile {self.task.profile}; name "
                    "fields of the index, or rebuild with a schema that has them"
                )

    def _of_parameter(self, error: InputError) -> InputError | ReleaseError:
        name = error.field.split(".")[0]
        if name in self.task.parameters:
            return InputError(f"parameters[{name!r}]", error.problem)
        if name in self.profile.caller_parameters:
            return InputError(f"parameters[{name!r}]", f"{error.problem}; give it")
        return ReleaseError(
            f"profile {self.task.profile}: {error}; set profiles.{self.task.profile}.parameters."
            f"{name}, or push a template that has a default for it"
        )


def numbers_of(query: str) -> str:
    """The query's words that hold a digit: sizes, volts, model numbers."""
    return " ".join(word for word in query.split() if re.search(r"\d", word))


def _read(name: str, text: str, kind: Mapping[str, Any]) -> Any:
    """A caller's text as what the parameter is. Raises `InputError`."""
    try:
        match kind.get("type", "string"):
            case "string":
                return text
            case "integer":
                return int(text)
            case "number" if math.isfinite(float(text)):
                return float(text)
            case "boolean":
                return {"true": True, "false": False}[text]
    except (ValueError, KeyError) as error:
        raise InputError(f"parameters[{name!r}]", f"{text[:50]!r} is no {kind['type']}") from error
    raise InputError(f"parameters[{name!r}]", f"{text[:50]!r} is none that callers can give")
