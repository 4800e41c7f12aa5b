"""What is wrong with the cluster or an alias's indexes, and what to do about it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

from opensearchpy import OpenSearch

from index_builder.gates.fields import FIELD_MEND, lacking, undeclared
from index_builder.lock import read_lock
from index_builder.pipelines import check_pipelines
from index_builder.schema import RESERVED, Schema
from index_builder.versions import Version, list_versions
from rerank_core.cluster.dialect import Dialect, detect
from rerank_core.cluster.failures import cluster_errors
from rerank_core.cluster.features import find_features, read_features
from rerank_core.cluster.release import Release, fields_of
from rerank_core.cluster.templates import is_stored, missing_pipelines

_MANY_SEGMENTS = 10
_ZERO_RESULTS = "zero-results"
_NATIVE_SHARE = 0.5  # of memory beside the heap: knn.memory.circuit_breaker.limit as it comes


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at."""

    level: Literal["good", "advice", "fault"]
    about: str
    detail: str


def examine(client: OpenSearch, alias: str, schema: Schema | None) -> list[Finding]:
    """Everything that was looked at. Raises `ConfigError` and `ClusterError`.

    `schema` is what the next build would use; None: not compared.
    """
    dialect = detect(client)
    versions = list_versions(client, alias)
    live = next((version for version in versions if version.live), None)
    found = [*_cluster(client, dialect), *_versions(client, alias, versions, live)]
    if live is not None:
        with cluster_errors(f"looking at {live.index}"):
            body = client.indices.get(index=live.index)[live.index]
        found += _settings(client, live, body)
        found += _memory(client, live, body)
        found += _mapping(live, body, schema)
        if live.release is not None:
            found += _templates(client, alias, live, live.release)
            found += _zero_results(alias, live, body, live.release)
            found += _unread(live, body, live.release)
    found += [Finding(*finding) for finding in check_pipelines(client)]
    return found


def graph_bytes(documents: int, dimensions: int, m: int, bytes_a_number: float) -> int:
    """What an HNSW graph with its vectors takes in memory: OpenSearch's own estimate.

    1.1 * (bytes of a vector + 8 * m) * vectors.
    """
    return round(1.1 * (bytes_a_number * dimensions + 8 * m) * documents)


def _cluster(client: OpenSearch, dialect: Dialect) -> Iterator[Finding]:
    yield Finding("good", "cluster", f"{dialect.name} {dialect.version}")
    with cluster_errors("asking for health and nodes"):
        health = client.cluster.health()
        nodes = client.nodes.info(metric="plugins,os,jvm")["nodes"]
    level: Literal["good", "fault"] = "fault" if health["status"] == "red" else "good"
    yield Finding(
        level, "health", f"{health['status']}, {health['number_of_data_nodes']} data nodes"
    )
    if dialect.name == "opensearch":
        for node in nodes.values():
            plugins = {plugin["name"]: plugin["version"] for plugin in node.get("plugins", [])}
            if "opensearch-knn" not in plugins:
                yield Finding(
                    "fault", f"node {node['name']}", "has no plugin opensearch-knn; install it"
                )
            elif not plugins["opensearch-knn"].startswith(node["version"]):
                yield Finding(
                    "fault",
                    f"node {node['name']}",
                    f"is {node['version']}, its plugin opensearch-knn {plugins['opensearch-knn']}",
                )
    features = read_features({"nodes": nodes})
    how = "stored" if features.stores_templates else "rendered by who asks: no module lang-mustache"
    yield Finding("good", "templates", how)
    fusion = "by the cluster" if features.hybrid else f"own: no {features.needs['hybrid']}"
    yield Finding("good", "fusion of legs", fusion)


def _versions(
    client: OpenSearch, alias: str, versions: list[Version], live: Version | None
) -> Iterator[Finding]:
    if live is None:
        yield Finding("fault", f"alias {alias}", "stands for no index that this program built")
    elif live.release is None:
        yield Finding("fault", live.index, "is live and has no release record; rebuild")
    else:
        built = f"{live.release.built_at:%Y-%m-%d %H:%M}, encoder {live.release.encoder_name}"
        yield Finding("good", live.index, f"live, {live.documents:,} documents, built {built}")
        if live.documents != live.release.documents:
            yield Finding(
                "advice",
                live.index,
                f"counts {live.documents:,} documents, when built {live.release.documents:,}",
            )
    unfinished = [version for version in versions if not version.release and not version.building]
    for version in unfinished:
        yield Finding(
            "advice",
            version.index,
            f"unfinished, {version.size_bytes >> 20} MB; resume its build, or "
            f"prune --alias {alias} --unfinished",
        )
    finished = [version for version in versions if version.release]
    if live is not None and len(finished) < 2:
        yield Finding("advice", f"alias {alias}", "has no version before to roll back to")
    lock = read_lock(client, alias)
    if lock is not None:
        held = lock["_source"]
        ended = datetime.fromisoformat(held["expires_at"]) < datetime.now(UTC)
        state = "ran out; its builder is dead" if ended else "runs"
        yield Finding("advice", f"alias {alias}", f"build by {held['owner']} {state}")


def _settings(client: OpenSearch, live: Version, body: Mapping[str, Any]) -> Iterator[Finding]:
    settings = body["settings"]["index"]
    if settings.get("refresh_interval") == "-1":
        yield Finding("fault", live.index, "refresh_interval is -1: writes are not seen; unset it")
    if settings.get("number_of_replicas") == "0":
        yield Finding("advice", live.index, "has no replica: a node that fails takes it away")
    with cluster_errors(f"counting segments of {live.index}"):
        shards = client.indices.segments(index=live.index)["indices"][live.index]["shards"]
    most = max(len(copy["segments"]) for copies in shards.values() for copy in copies)
    if most > _MANY_SEGMENTS:
        yield Finding(
            "advice",
            live.index,
            f"a shard has {most} segments, each with a graph of its own; force-merge when quiet",
        )


def _memory(client: OpenSearch, live: Version, body: Mapping[str, Any]) -> Iterator[Finding]:
    field = body["mappings"].get("properties", {}).get("vector", {})
    dimensions = int(field.get("dimension") or field.get("dims") or 0)
    method = field.get("method", field.get("index_options", {}))
    parameters = method.get("parameters", method)
    m = int(parameters.get("m", 16))
    need = graph_bytes(live.documents, dimensions, m, 4)
    with cluster_errors("asking nodes for memory"):
        nodes = client.nodes.stats(metric="os,jvm")["nodes"].values()
    beside = [
        node["os"]["mem"]["total_in_bytes"] - node["jvm"]["mem"]["heap_max_in_bytes"]
        for node in nodes
    ]
    native = method.get("engine") == "faiss"
    room = sum(beside) * (_NATIVE_SHARE if native else 1)
    copies = 1 + int(body["settings"]["index"].get("number_of_replicas", 0))
    copies = min(copies, len(beside))
    where = "k-NN's native memory" if native else "memory beside the heaps, which caches files"
    detail = (
        f"vectors and graph need {need * copies / 2**20:,.0f} MB in {copies} copies, {where} is "
        f"{room / 2**20:,.0f} MB"
    )
    if need * copies > room:
        yield Finding("fault", live.index, f"{detail}; add memory, or vector.type on-disk or byte")
    else:
        yield Finding("good", live.index, detail)


def _mapping(live: Version, body: Mapping[str, Any], schema: Schema | None) -> Iterator[Finding]:
    if schema is None:
        return
    there = set(body["mappings"].get("properties", {})) - set(RESERVED)
    if strange := sorted(there - set(schema.fields)):
        yield Finding("advice", live.index, f"has fields not in the schema: {', '.join(strange)}")
    if missing := sorted(set(schema.fields) - there):
        yield Finding(
            "advice", live.index, f"lacks fields of the schema, rebuild: {', '.join(missing)}"
        )
    if not strange and not missing:
        yield Finding("good", live.index, "has the fields of the schema")


def _templates(
    client: OpenSearch, alias: str, live: Version, release: Release
) -> Iterator[Finding]:
    features = find_features(client)
    restore = f"put it back: templates push --restore --alias {alias}"
    if features.native_pipelines and "hybrid" in release.templates:
        for name in missing_pipelines(client):
            detail = f"search pipeline {name}, which fuses legs, is gone; {restore}"
            yield Finding("fault", live.index, detail)
    if not features.stores_templates:
        return
    for template_id in release.templates.values():
        if not is_stored(client, template_id):
            yield Finding(
                "fault",
                live.index,
                f"search template {template_id} is gone; {restore}, or rebuild",
            )


def _zero_results(
    alias: str, live: Version, body: Mapping[str, Any], release: Release
) -> Iterator[Finding]:
    """What a shopper who mistypes gets: neither of these is seen in an answer."""
    if _ZERO_RESULTS not in release.templates:
        yield Finding(
            "advice",
            live.index,
            f"has no search template {_ZERO_RESULTS}: a page where nothing is found stays empty; "
            f"templates push --alias {alias}, or rebuild where that leaves it out",
        )
    elif not any(field.endswith(".unstemmed") for field in fields_of(body["mappings"])):
        yield Finding(
            "advice",
            live.index,
            "has no field NAME.unstemmed: misspelt words are compared by their stems alone, and "
            "cordles does not find cordless; rebuild",
        )


def _unread(live: Version, body: Mapping[str, Any], release: Release) -> Iterator[Finding]:
    """Filters and counts of its templates that stay empty here, and searches they do not take."""
    kept = [template for name in release.templates if (template := release.template(name))]
    for line in lacking(live.index, kept, fields_of(body["mappings"])):
        yield Finding("advice", live.index, f"{line}; {FIELD_MEND}")
    for line in undeclared(kept):
        yield Finding("advice", live.index, line)
