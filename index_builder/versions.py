"""The indexes of an alias: what is there, back to one before, and old ones away."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from opensearchpy import OpenSearch

from index_builder.lock import BuildLock, new_owner, read_lock
from index_builder.progress import Progress
from index_builder.swap import swap_alias
from rerank_core.cluster.alias import check_alias
from rerank_core.cluster.failures import cluster_errors
from rerank_core.cluster.features import find_features
from rerank_core.cluster.release import Release, index_behind, read_release
from rerank_core.cluster.templates import (
    is_stored,
    load_templates,
    missing_pipelines,
    push_pipelines,
    store,
)
from rerank_core.errors import ConfigError, ReleaseError

# What `new_index_name` makes behind the alias.
_OURS = r"-\d{8}t\d{6,9}z-[0-9a-f]{8}"  # six digits: older names, to the second


@dataclass(frozen=True, slots=True)
class Version:
    """One index that was built for an alias."""

    index: str
    live: bool
    """The alias stands for it."""
    aliases: tuple[str, ...]
    """All that stand for it."""
    documents: int
    size_bytes: int
    created_at: str
    release: Release | None
    """None: unfinished, or not readable."""
    building: bool
    """A build holds the alias's lock for it."""


def list_versions(client: OpenSearch, alias: str) -> list[Version]:
    """Newest first. Raises `ConfigError`, `ClusterError`."""
    check_alias(alias)
    with cluster_errors(f"listing indexes of {alias}"):
        found = client.indices.get(index=f"{alias}-*")
        sizes = client.cat.indices(
            index=f"{alias}-*",
            params={"format": "json", "bytes": "b", "h": "index,docs.count,store.size"},
        )
    size_of = {row["index"]: row for row in sizes}
    lock = read_lock(client, alias)
    building = lock["_source"]["index"] if lock else None
    versions = [
        _version(index, body, size_of.get(index, {}), alias, building)
        for index, body in found.items()
        if re.fullmatch(re.escape(alias) + _OURS, index)
    ]
    return sorted(versions, key=lambda version: version.index, reverse=True)


def rollback(
    client: OpenSearch, alias: str, to: str | None, progress: Progress
) -> tuple[Version, str]:
    """Moves the alias to `to`, or to the newest finished index older than the live one.

    Index, templates and the encoder that the sidecar must have go together: they are in the index's
    release. Returns the version and the index before. Raises `ReleaseError`, `ConfigError`,
    `ClusterError`.
    """
    behind = index_behind(client, alias)
    if behind is None:
        raise ReleaseError(f"no alias {alias!r} on the cluster; there is nothing to roll back")
    before = behind[0]
    version = _target(list_versions(client, alias), before, to, alias)
    release = version.release
    if release is None:
        raise ReleaseError(f"index {version.index} is unfinished; name another one")
    restore_templates(client, version.index, release)
    with BuildLock(client, alias, new_owner(), version.index) as lock:
        lock.check()
        swap_alias(client, alias, before, version.index, progress)
    return version, before


def prune(
    client: OpenSearch, alias: str, keep: int, progress: Progress, *, unfinished: bool
) -> list[Version]:
    """Deletes all but the newest `keep` finished indexes; what was deleted.

    Never one that any alias stands for, nor one that is being built. Raises `ClusterError`.
    """
    versions = list_versions(client, alias)
    finished = [version for version in versions if version.release]
    kept = {version.index for version in finished[:keep]}
    doomed = [
        version
        for version in versions
        if not version.aliases
        and not version.building
        and version.index not in kept
        and (version.release is not None or unfinished)
    ]
    deleted = []
    for version in doomed:
        with cluster_errors(f"deleting {version.index}"):
            # Asked again: an alias may have moved to it since it was listed.
            now = client.indices.get_alias(index=version.index)[version.index]["aliases"]
            if now:
                progress.note(f"{version.index} stays: {', '.join(now)} stands for it now")
                continue
            client.indices.delete(index=version.index)
        progress.note(f"{version.index} deleted")
        deleted.append(version)
    return deleted


def _target(versions: Sequence[Version], live: str, to: str | None, alias: str) -> Version:
    names = [version.index for version in versions]
    if to is not None:
        if to == live:
            raise ConfigError(f"{to} is what the alias {alias} stands for already")
        if to not in names:
            raise ConfigError(f"{to}: no index of {alias}; there is: {', '.join(names) or 'none'}")
        return versions[names.index(to)]
    older = [version for version in versions if version.release and version.index < live]
    if not older:
        raise ReleaseError(f"alias {alias}: there is no finished index older than {live}")
    return older[0]


def restore_templates(client: OpenSearch, index: str, release: Release) -> list[str]:
    """Puts templates and fusing pipelines back that are gone from the cluster; their ids.

    Templates from the index's own record, else from this package. Raises `ReleaseError` and
    `ClusterError`.
    """
    features = find_features(client)
    restored = missing_pipelines(client) if features.native_pipelines else []
    if restored:
        push_pipelines(client)
    if not features.stores_templates:
        return restored
    for template_id in release.templates.values():
        if is_stored(client, template_id):
            continue
        known = {
            template.id: template.source for template in load_templates(engine=features.engine)
        }
        known |= {one: kept.source for one, kept in release.sources.items()}
        if template_id not in known:
            raise ReleaseError(
                f"index {index}: its search template {template_id} is gone, and this version "
                f"({release.builder_version} built it) has another; put it back first"
            )
        store(client, template_id, known[template_id])
        restored.append(template_id)
    return restored


def _version(
    index: str, body: Mapping[str, Any], size: Mapping[str, Any], alias: str, building: str | None
) -> Version:
    try:
        release: Release | None = read_release(index, body["mappings"])
    except ReleaseError:
        release = None
    created = int(body["settings"]["index"]["creation_date"]) / 1000
    return Version(
        index=index,
        live=alias in body["aliases"],
        aliases=tuple(sorted(body["aliases"])),
        documents=int(size.get("docs.count") or 0),
        size_bytes=int(size.get("store.size") or 0),
        created_at=datetime.fromtimestamp(created).astimezone().isoformat(timespec="seconds"),
        release=release,
        building=index == building,
    )
