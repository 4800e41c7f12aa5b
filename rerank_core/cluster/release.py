"""What an index was built with, and which index an alias stands for."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from opensearchpy import AsyncOpenSearch, OpenSearch
from pydantic import AwareDatetime

from rerank_core import records
from rerank_core.cluster.alias import check_alias
from rerank_core.cluster.failures import NO_CLUSTER, cluster_errors
from rerank_core.cluster.templates import Template
from rerank_core.errors import ClusterRefused, ClusterUnavailable, ReleaseError

_NOT_FOUND = 404


@dataclass(frozen=True)
class GateRecord:
    """What one check of a fresh index found before the alias moved."""

    name: str
    verdict: Literal["passed", "failed", "not run"]
    figure: float | None
    """What was measured; None where there is no number to it."""
    bound: float | None
    """What it was held against."""
    detail: str
    """For people: of what, and why not where it did not run."""


@dataclass(frozen=True)
class TemplateSource:
    """A template as the index keeps it: with its id it is the whole template."""

    source: str
    schema: Mapping[str, Any]


@dataclass(frozen=True)
class Release:
    """The record in ``_meta.release`` of an index's mapping, written last by the index builder.

    An index without one is unfinished or not ours. Keys that a reader does not know are ignored,
    so that a newer builder may add some.
    """

    encoder_name: str
    """The bi-encoder that computed the vectors, as its artifact names it."""
    encoder_hash: str
    """Its model hash; vectors of another one are not comparable. 64 hex digits."""
    encoder_recipe_hash: str
    """Hash of the recipe whose text the vectors stand for."""
    recipe_hash: str
    """Hash of the cross-encoder's recipe that composed ``rerank_text``."""
    mapping_hash: str
    """Over fields, vector method and text analysis."""
    templates: Mapping[str, str]
    """Ids of the stored search templates by name, tried on this index before it went live."""
    built_at: AwareDatetime
    documents: int
    rejected: int
    """Rows of the catalogue that are not in the index."""
    builder_version: str
    gates: tuple[GateRecord, ...] = ()
    """What was checked before the alias moved."""
    engine: str = ""
    """The cluster's kind and version, such as ``opensearch 3.5.0``."""
    updated_at: AwareDatetime | None = None
    """When an update changed documents in place; None: never since it was built."""
    sources: Mapping[str, TemplateSource] = field(default_factory=dict)
    """Source and schema of templates by id: those in `templates`, and those before them."""
    templates_before: Mapping[str, str] = field(default_factory=dict)
    """Ids before the last push, so that it can be taken back; empty: nothing was pushed."""

    def template(self, name: str) -> Template | None:
        """The template of that name with its source; None where the record does not hold it."""
        kept = self.sources.get(self.templates.get(name, ""))
        return None if kept is None else Template(name, kept.source, kept.schema)


def sources_of(templates: Iterable[Template]) -> dict[str, TemplateSource]:
    """As a release keeps them, by id."""
    return {template.id: TemplateSource(template.source, template.schema) for template in templates}


def resolve_alias(client: OpenSearch, alias: str) -> tuple[str, Release]:
    """The one index behind an alias and its release, in one request.

    Raises `ReleaseError` where there is none, more than one, or no readable release, each with
    the mend; `ConfigError` where `alias` cannot be an alias; and `ClusterError`.
    """
    found = index_behind(client, alias)
    if found is None:
        raise _nothing_behind(alias)
    return found[0], read_release(*found)


async def resolve_alias_async(
    client: AsyncOpenSearch, alias: str, timeout_s: float
) -> tuple[str, Release, Mapping[str, str], tuple[Mapping[str, Any], ...]]:
    """`resolve_alias` for an event loop, with its own patience.

    Also gives the fields, as `fields_of`, and the alias's own filter, none or one: who asks the
    index itself must ask with it. Raises `ReleaseError` for an alias with routing, too.
    """
    check_alias(alias)
    try:
        with cluster_errors(f"resolving alias {alias!r}"):
            answer = await client.indices.get(index=alias, request_timeout=timeout_s)
    except ClusterRefused as refusal:
        if refusal.status == _NOT_FOUND:
            raise _nothing_behind(alias) from refusal
        raise
    index, mapping = _only_index(alias, answer)
    release = read_release(index, mapping)
    own = answer[index].get("aliases", {}).get(alias, {})
    if "search_routing" in own:
        raise ReleaseError(
            f"alias {alias!r} has search_routing {own['search_routing']!r}, and searches ask all "
            f"shards of {index}; take it away with POST _aliases, or give the alias a filter"
        )
    filters = (own["filter"],) if "filter" in own else ()
    return index, release, fields_of(mapping), filters


def fields_of(mapping: Mapping[str, Any]) -> dict[str, str]:
    """Types of all fields of a mapping by their paths, sub-fields such as ``brand.keyword`` too."""
    found: dict[str, str] = {}
    for part in ("properties", "fields"):
        for name, kind in mapping.get(part, {}).items():
            found[name] = kind.get("type", "object")
            found |= {f"{name}.{below}": of for below, of in fields_of(kind).items()}
    return found


def index_fields(client: OpenSearch, index: str) -> dict[str, str]:
    """As `fields_of`, of an index. Raises `ClusterError`."""
    with cluster_errors(f"reading the mapping of {index}"):
        return fields_of(client.indices.get_mapping(index=index)[index]["mappings"])


def index_behind(client: OpenSearch, alias: str) -> tuple[str, dict[str, Any]] | None:
    """The one index behind an alias and its mapping; None where the name is free.

    Raises as `resolve_alias` for everything but a missing alias or release.
    """
    check_alias(alias)
    try:
        with cluster_errors(f"resolving alias {alias!r}"):
            answer = client.indices.get_mapping(index=alias)
    except ClusterRefused as refusal:
        if refusal.status == _NOT_FOUND:
            return None
        raise
    return _only_index(alias, answer)


def read_release(index: str, mapping: Mapping[str, Any]) -> Release:
    """The release in an index's mapping. Raises `ReleaseError` where it is missing or unreadable.

    `mapping` is the object under ``mappings`` in the cluster's answer.
    """
    meta = mapping.get("_meta")
    if not isinstance(meta, dict) or "release" not in meta:
        raise ReleaseError(
            f"index {index}: its mapping has no _meta.release, so it is unfinished or was not "
            "written by the index builder; rebuild it with python -m index_builder"
        )
    where = f"index {index}: _meta.release cannot be read, rebuild the index; found"
    return records.read_value(Release, meta["release"], where, ReleaseError)


def write_release(client: OpenSearch, index: str, release: Release) -> None:
    """Makes a finished index one that can serve. Raises `ClusterError`."""
    with cluster_errors(f"writing the release record of {index}"):
        client.indices.put_mapping(
            index=index, body={"_meta": {"release": records.to_json(release)}}
        )


def _only_index(alias: str, answer: object) -> tuple[str, dict[str, Any]]:
    if not (isinstance(answer, dict) and answer and all(map(_has_mappings, answer.values()))):
        raise ClusterUnavailable(f"resolving alias {alias!r}: {NO_CLUSTER}")
    if alias in answer:
        raise ReleaseError(
            f"{alias!r} is an index, not an alias; choose another alias, or reindex that index "
            "under another name and delete it"
        )
    if len(answer) != 1:
        raise ReleaseError(
            f"alias {alias!r} stands for {_listed(answer)}, it must stand for exactly one index; "
            "remove it from the others with POST _aliases"
        )
    [(index, body)] = answer.items()
    return index, body["mappings"]


def _has_mappings(body: object) -> bool:
    return isinstance(body, dict) and isinstance(body.get("mappings"), dict)


def _nothing_behind(alias: str) -> ReleaseError:
    return ReleaseError(
        f"no alias {alias!r} on the cluster; build an index with "
        f"python -m index_builder rebuild CATALOGUE --alias {alias}"
    )


def _listed(names: Iterable[str]) -> str:
    return ", ".join(sorted(names))
