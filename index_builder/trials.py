"""Templates held against golden files, the cluster's own rendering, and a live index."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from opensearchpy import OpenSearch

from index_builder.gates.fields import FIELD_MEND, lacking
from index_builder.gates.templates import template_gate
from index_builder.gates.vectors import sample
from rerank_core.cluster.dialect import detect
from rerank_core.cluster.failures import cluster_errors
from rerank_core.cluster.features import find_features
from rerank_core.cluster.release import Release, index_fields, resolve_alias
from rerank_core.cluster.templates import Template, load_templates, push, render
from rerank_core.cluster.templates.folder import ENGINES
from rerank_core.cluster.templates.golden import golden_diff
from rerank_core.errors import ClusterRefused

_SAMPLES = 20


@dataclass(frozen=True, slots=True)
class Trial:
    """What was tried of one template."""

    template: str
    engine: str
    passed: tuple[str, ...]
    faults: tuple[str, ...]
    lacking: tuple[str, ...] = ()
    """What it offers and this index does not: no fault, but never found in silence."""

    def lines(self) -> list[str]:
        """For a person."""
        verdict = "FAULT" if self.faults else "good"
        said = f"{verdict:>5}  {self.template} ({self.engine}): {', '.join(self.passed)}"
        faults = [line for fault in self.faults for line in fault.splitlines()]
        mend = [FIELD_MEND] if self.lacking else []
        return [said, *(f"       {line}" for line in (*faults, *self.lacking, *mend))]


@dataclass(frozen=True, slots=True)
class Difference:
    """A template of the folder beside the one of the live index."""

    name: str
    state: Literal["same", "changed", "only in the folder", "only on the index"]
    live: str
    folder: str
    diff: tuple[str, ...] = ()

    def lines(self) -> list[str]:
        """For a person."""
        arrow = f"{self.live} -> {self.folder}" if self.state == "changed" else ""
        return [f"{self.name}: {self.state} {arrow}".rstrip(), *self.diff]


def rendered_by(client: OpenSearch, template: Template, parameters: Mapping[str, Any]) -> Any:
    """The body as the cluster renders it. Raises `ClusterError`."""
    body = {"source": template.source, "params": parameters}
    with cluster_errors(f"rendering search template {template.id}"):
        return client.render_search_template(body=body)["template_output"]


def try_templates(
    client: OpenSearch | None, folder: Path | None, alias: str | None = None
) -> list[Trial]:
    """Every template of a folder, tried as far as the cluster goes; None is no cluster.

    Without a cluster for all engines, else for the cluster's. Raises `ConfigError`, `ReleaseError`,
    `ClusterError`.
    """
    if client is None:
        return [
            _in_process(template, engine, folder)
            for engine in ENGINES
            for template in load_templates(folder, engine)
        ]
    features = find_features(client)
    index = resolve_alias(client, alias)[0] if alias else None
    fields = index_fields(client, index) if index else {}
    drawn = (
        sample(client, detect(client), index, ["rerank_text", "vector"], _SAMPLES) if index else []
    )
    found = []
    for template in load_templates(folder, features.engine):
        trial = _in_process(template, features.engine, folder)
        unread: list[str] = []
        passed, faults = list(trial.passed), list(trial.faults)
        if features.stores_templates:
            _say(passed, faults, "rendered alike by the cluster", _beside(client, template))
        if lack := features.lacks(template):
            passed.append(f"not run, {lack}")
        elif index is not None:
            if features.stores_templates:
                push(client, [template])
            gate, _ = template_gate(
                client,
                index,
                [template],
                drawn,
                stored=features.stores_templates,
                required=[template.name],
            )
            fault = gate.detail if gate.verdict == "failed" else ""
            unread = [] if fault else lacking(index, [template], fields)
            _say(passed, faults, f"runs on {index}", fault)
        found.append(
            Trial(template.id, features.engine, tuple(passed), tuple(faults), tuple(unread))
        )
    return found


def compare(index: str, release: Release, templates: Sequence[Template]) -> list[Difference]:
    """What a push of `templates` would change of an index."""
    there = {template.name: template for template in templates}
    found = []
    for name in sorted(release.templates.keys() | there.keys()):
        live = release.templates.get(name, "")
        here = there[name].id if name in there else ""
        if not live or not here:
            state: Any = "only on the index" if live else "only in the folder"
            found.append(Difference(name, state, live, here))
            continue
        kept = release.template(name)
        # By what it is: an earlier version made ids of the source alone.
        if here in (live, kept and kept.id):
            found.append(Difference(name, "same", live, here))
            continue
        lines: Iterable[str] = (
            difflib.unified_diff(_shown(kept), _shown(there[name]), live, here, lineterm="", n=2)
            if kept
            else (f"{index} does not keep the source of {live}",)
        )
        found.append(Difference(name, "changed", live, here, tuple(lines)))
    return found


def _shown(template: Template) -> list[str]:
    """The lines of all that its id is of."""
    schema = json.dumps(template.contract, indent=2, sort_keys=True, ensure_ascii=False)
    return [*template.source.splitlines(), *schema.splitlines()]


def _in_process(template: Template, engine: str, folder: Path | None) -> Trial:
    lines = golden_diff(template, engine, folder)
    passed = () if lines else (f"{len(template.examples)} examples as written down",)
    return Trial(template.id, engine, passed, ("\n".join(lines),) if lines else ())


def _beside(client: OpenSearch, template: Template) -> str:
    for example in template.examples:
        whole = template.complete(example)
        try:
            theirs = rendered_by(client, template, whole)
        except ClusterRefused as error:
            return str(error)
        if theirs != render(template, whole):
            return f"the cluster renders {theirs}, this process {render(template, whole)}"
    return ""


def _say(passed: list[str], faults: list[str], what: str, fault: str) -> None:
    if fault:
        faults.append(fault)
    else:
        passed.append(what)
