"""The live index moved to other search templates, and back, without a rebuild."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from opensearchpy import OpenSearch

from index_builder.gates.fields import FIELD_MEND, lacking, undeclared
from index_builder.gates.templates import LEGS, template_gate
from index_builder.gates.vectors import sample
from index_builder.lock import BuildLock, new_owner
from index_builder.progress import Progress
from rerank_core.cluster.dialect import detect
from rerank_core.cluster.features import Features, find_features
from rerank_core.cluster.release import (
    Release,
    index_fields,
    resolve_alias,
    sources_of,
    write_release,
)
from rerank_core.cluster.templates import (
    Template,
    load_templates,
    push,
    push_pipelines,
    store,
)
from rerank_core.cluster.templates.golden import check_golden
from rerank_core.errors import ConfigError, ReleaseError

_SAMPLES = 20


@dataclass(frozen=True, slots=True)
class Pushed:
    """What became of a push, or of taking one back."""

    index: str | None
    """None: the templates were stored, and no index was moved to them."""
    templates: Mapping[str, str]
    """Ids by name that the index has now; without an index those that were stored."""
    before: Mapping[str, str]
    left_out: Mapping[str, str]
    """Why, by name."""
    fault: str = ""
    """Why the index was not moved."""
    lacking: tuple[str, ...] = ()
    """What the templates offer and this index does not, by its fields."""
    undeclared: tuple[str, ...] = ()
    """What searches ask that the templates do not take."""

    def lines(self) -> list[str]:
        """For a person."""
        lines = [f"left out {name}: {why}" for name, why in self.left_out.items()]
        if self.lacking:
            lines += [*self.lacking, f"to mend that: {FIELD_MEND}"]
        lines += self.undeclared
        if self.fault:
            return [*lines, f"{self.index} was not touched: {self.fault}"]
        if self.index is None:
            return [*lines, *(f"stored {template_id}" for template_id in self.templates.values())]
        for name, template_id in self.templates.items():
            was = self.before.get(name)
            if was != template_id:
                lines.append(f"{self.index}: {name} {was or 'nothing'} -> {template_id}")
        same = sum(self.before.get(name) == now for name, now in self.templates.items())
        return [*lines, f"{self.index}: {same} templates as before"]


def push_templates(
    client: OpenSearch, alias: str | None, folder: Path | None, names: Sequence[str] = ()
) -> Pushed:
    """Stores templates and, with an alias, moves its index to them once all work on it.

    `names` are the ones to push; all where none is named. Raises `ConfigError` where an example
    does not render to what is written down, `ReleaseError`, `ClusterError`.
    """
    features = find_features(client)
    chosen, left_out = choose(folder, features, names)
    for template in chosen:
        check_golden(template, features.engine, folder)
    if features.stores_templates:
        push(client, chosen)
    if features.native_pipelines:
        push_pipelines(client)
    ids = {template.name: template.id for template in chosen}
    if alias is None:
        return Pushed(None, ids, {}, left_out)
    index, release = resolve_alias(client, alias)
    drawn = sample(client, detect(client), index, ["rerank_text", "vector"], _SAMPLES)
    required = set(names) or (LEGS if folder is None else set(ids))
    gate, problems = template_gate(
        client, index, chosen, drawn, stored=features.stores_templates, required=required
    )
    if gate.verdict == "failed":
        return Pushed(index, release.templates, release.templates, left_out, gate.detail)
    left_out |= problems
    working = [template for template in chosen if template.name not in problems]
    with BuildLock(client, alias, new_owner(), index) as lock:
        # Read again: an update may have written it meanwhile.
        index, release = _same(client, alias, index)
        lock.check()
        after = {**release.templates, **{template.name: template.id for template in working}}
        _move(client, index, release, after, working)
    unread = lacking(index, working, index_fields(client, index))
    return Pushed(
        index,
        after,
        release.templates,
        left_out,
        lacking=tuple(unread),
        undeclared=tuple(undeclared(working)),
    )


def rollback_templates(client: OpenSearch, alias: str, progress: Progress) -> Pushed:
    """Moves the index back to the templates before the last push.

    Raises `ReleaseError` where nothing was pushed since it was built, and `ClusterError`.
    """
    index, release = resolve_alias(client, alias)
    if not release.templates_before:
        raise ReleaseError(
            f"index {index}: nothing was pushed to it since it was built; to go back to another "
            f"index with its templates: python -m index_builder rollback --alias {alias}"
        )
    if find_features(client).stores_templates:
        for template_id in release.templates_before.values():
            if kept := release.sources.get(template_id):
                store(client, template_id, kept.source)
    with BuildLock(client, alias, new_owner(), index) as lock:
        index, release = _same(client, alias, index)
        lock.check()
        _move(client, index, release, release.templates_before, ())
    progress.note(f"{index}: the push is taken back; the same command takes it up again")
    return Pushed(index, release.templates_before, release.templates, {})


def choose(
    folder: Path | None, features: Features, names: Sequence[str]
) -> tuple[list[Template], dict[str, str]]:
    """The templates of a folder that this cluster runs, and why others are left out.

    Raises `ConfigError` for a name that is not there, or that is asked for and does not run.
    """
    there = {template.name: template for template in load_templates(folder, features.engine)}
    for name in names:
        if name not in there:
            raise ConfigError(f"no template {name!r}; there is: {', '.join(there)}")
        if lack := features.lacks(there[name]):
            raise ConfigError(f"template {name}: {lack}")
    chosen = [there[name] for name in names or there]
    left_out = {template.name: lack for template in chosen if (lack := features.lacks(template))}
    return [template for template in chosen if template.name not in left_out], left_out


def _same(client: OpenSearch, alias: str, index: str) -> tuple[str, Release]:
    now, release = resolve_alias(client, alias)
    if now != index:
        raise ReleaseError(f"alias {alias} moved from {index} to {now} meanwhile; push again")
    return now, release


def _move(
    client: OpenSearch,
    index: str,
    release: Release,
    after: Mapping[str, str],
    templates: Sequence[Template],
) -> None:
    # A push that changes nothing, such as a deploy's second one, takes no way back away.
    changes = dict(after) != dict(release.templates)
    before = release.templates if changes else release.templates_before
    kept = {*after.values(), *before.values()}
    sources = {**release.sources, **sources_of(templates)}
    write_release(
        client,
        index,
        replace(
            release,
            templates=dict(after),
            templates_before=dict(before),
            sources={template_id: sources[template_id] for template_id in kept & sources.keys()},
        ),
    )
