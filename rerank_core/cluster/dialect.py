"""What OpenSearch and Elasticsearch say differently; opensearch-py speaks to both."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from opensearchpy import OpenSearch

from rerank_core.cluster.failures import NO_CLUSTER, cluster_errors
from rerank_core.cluster.vectors import VectorField
from rerank_core.errors import ClusterRefused, ClusterUnavailable, ConfigError

Json = dict[str, Any]

_NOT_ALLOWED = 405
_OLDEST = {"opensearch": (2, 19), "elasticsearch": (8, 12)}


class Dialect(Protocol):
    """The engine's own words for what the index builder does."""

    @property
    def name(self) -> str:
        """In lower case."""
        ...

    @property
    def version(self) -> str:
        """Of the server."""
        ...

    @property
    def stable_order(self) -> str:
        """The cheapest field that orders all documents at a point in time."""
        ...

    def settings(self) -> Json:
        """What an index with vectors needs, under ``index``."""
        ...

    def vector_mapping(self, vector: VectorField, dimensions: int) -> Json:
        """The mapping of a vector field. Raises `ConfigError` for what the engine does not have."""
        ...

    def nearest(self, vector: Sequence[float], k: int) -> Json:
        """The query for the `k` approximate neighbours a shard, as it is searched in use."""
        ...

    def exact(self, vector: Sequence[float], among: Json) -> Json:
        """The query that scores every document that `among` matches by cosine."""
        ...

    def source(self, fields: Sequence[str]) -> Any:
        """The ``_source`` that brings these fields, vectors too."""
        ...

    def get(self, keys: Sequence[str], fields: Sequence[str]) -> tuple[Json, Json]:
        """Body and url parameters of the ``_mget`` that brings these fields, vectors too."""
        ...

    def open_pit(self, client: OpenSearch, index: str, keep_alive: str) -> str:
        """The id of a point in time."""
        ...

    def close_pit(self, client: OpenSearch, pit: str) -> None:
        """Gives it back."""
        ...


@dataclass(frozen=True, slots=True)
class OpenSearchDialect:
    """OpenSearch with its k-NN plugin."""

    version: str
    name: str = "opensearch"

    @property
    def stable_order(self) -> str:
        """From 3.3 on a document's place; before, its key, which takes memory."""
        return "_shard_doc" if _numbers(self.version) >= (3, 3) else "_id"

    def settings(self) -> Json:
        """Its k-NN wants to be asked for."""
        return {"knn": True}

    def vector_mapping(self, vector: VectorField, dimensions: int) -> Json:
        """``knn_vector``; fp16 is faiss's alone, and bytes made of floats are lucene's."""
        spaces = {"cosine": "cosinesimil", "innerproduct": "innerproduct", "l2": "l2"}
        parameters: Json = {"m": vector.m, "ef_construction": vector.ef_construction}
        field: Json = {"type": "knn_vector", "dimension": dimensions}
        match vector.type, vector.engine:
            case "float", _:
                pass
            case "fp16", "faiss":
                parameters["encoder"] = {"name": "sq", "parameters": {"type": "fp16"}}
            case "byte", "lucene":
                parameters["encoder"] = {"name": "sq"}
            case "on-disk", "faiss":
                field |= {"mode": "on_disk"}
            case "on-disk", "lucene":
                field |= {"mode": "on_disk", "compression_level": "4x"}
            case _:
                raise ConfigError(
                    f"vector: OpenSearch has no type {vector.type} with engine {vector.engine}; "
                    "fp16 goes with faiss, byte with lucene"
                )
        field["method"] = {
            "name": "hnsw",
            "engine": vector.engine,
            "space_type": spaces[vector.space],
            "parameters": parameters,
        }
        return field

    def nearest(self, vector: Sequence[float], k: int) -> Json:
        """As in the template of the vector leg."""
        return {"knn": {"vector": {"vector": list(vector), "k": k}}}

    def exact(self, vector: Sequence[float], among: Json) -> Json:
        """The plugin's own script."""
        parameters = {"field": "vector", "query_value": list(vector), "space_type": "cosinesimil"}
        script = {"source": "knn_score", "lang": "knn", "params": parameters}
        return {"script_score": {"query": among, "script": script}}

    def source(self, fields: Sequence[str]) -> Any:
        """Vectors are part of it."""
        return list(fields)

    def get(self, keys: Sequence[str], fields: Sequence[str]) -> tuple[Json, Json]:
        """Vectors are part of it."""
        return {"ids": list(keys)}, {"_source_includes": ",".join(fields)}

    def open_pit(self, client: OpenSearch, index: str, keep_alive: str) -> str:
        """By its own path."""
        path = f"/{index}/_search/point_in_time"
        answer = client.transport.perform_request("POST", path, params={"keep_alive": keep_alive})
        return str(answer["pit_id"])

    def close_pit(self, client: OpenSearch, pit: str) -> None:
        """By its own path."""
        body = {"pit_id": [pit]}
        client.transport.perform_request("DELETE", "/_search/point_in_time", body=body)


@dataclass(frozen=True, slots=True)
class ElasticsearchDialect:
    """Elasticsearch's dense vectors."""

    version: str
    name: str = "elasticsearch"

    @property
    def stable_order(self) -> str:
        """A document's place."""
        return "_shard_doc"

    def settings(self) -> Json:
        """Nothing."""
        return {}

    def vector_mapping(self, vector: VectorField, dimensions: int) -> Json:
        """``dense_vector`` on Lucene."""
        kinds = {"float": "hnsw", "byte": "int8_hnsw", "on-disk": "bbq_hnsw"}
        spaces = {"cosine": "cosine", "innerproduct": "dot_product", "l2": "l2_norm"}
        if vector.engine != "lucene" or vector.type not in kinds:
            raise ConfigError(
                f"vector: Elasticsearch has no type {vector.type} with engine {vector.engine}; it "
                f"has {', '.join(kinds)}, each with lucene"
            )
        return {
            "type": "dense_vector",
            "dims": dimensions,
            "index": True,
            "similarity": spaces[vector.space],
            "index_options": {
                "type": kinds[vector.type],
                "m": vector.m,
                "ef_construction": vector.ef_construction,
            },
        }

    def nearest(self, vector: Sequence[float], k: int) -> Json:
        """As many candidates as neighbours: what OpenSearch's lucene engine does."""
        query = {"field": "vector", "query_vector": list(vector), "k": k, "num_candidates": k}
        return {"knn": query}

    def exact(self, vector: Sequence[float], among: Json) -> Json:
        """Its script function; scores must not be negative."""
        source = "cosineSimilarity(params.vector, 'vector') + 1.0"
        script = {"source": source, "params": {"vector": list(vector)}}
        return {"script_score": {"query": among, "script": script}}

    def source(self, fields: Sequence[str]) -> Any:
        """From 9.2 vectors are left out unless they are asked for."""
        spec: Json = {"includes": list(fields)}
        if _numbers(self.version) >= (9, 2):
            spec["exclude_vectors"] = False
        return spec

    def get(self, keys: Sequence[str], fields: Sequence[str]) -> tuple[Json, Json]:
        """From 9.2 vectors are left out unless they are asked for."""
        parameters = {"_source_includes": ",".join(fields)}
        if _numbers(self.version) >= (9, 2):
            parameters["_source_exclude_vectors"] = "false"
        return {"ids": list(keys)}, parameters

    def open_pit(self, client: OpenSearch, index: str, keep_alive: str) -> str:
        """By its own path."""
        path = f"/{index}/_pit"
        answer = client.transport.perform_request("POST", path, params={"keep_alive": keep_alive})
        return str(answer["id"])

    def close_pit(self, client: OpenSearch, pit: str) -> None:
        """By its own path."""
        client.transport.perform_request("DELETE", "/_pit", body={"id": pit})


def detect(client: OpenSearch) -> Dialect:
    """Asks the cluster what it is.

    Raises `ConfigError` for a version that is too old, and `ClusterError`.
    """
    doing = "asking the cluster for its version"
    try:
        with cluster_errors(doing):
            answer = client.info()
    except ClusterRefused as refusal:
        if refusal.status != _NOT_ALLOWED:
            raise
        answer = _of_node(client, doing)
    version = answer.get("version") if isinstance(answer, Mapping) else None
    if not isinstance(version, Mapping) or "number" not in version:
        raise ClusterUnavailable(f"{doing}: {NO_CLUSTER}")
    number = str(version["number"])
    name = "opensearch" if version.get("distribution") == "opensearch" else "elasticsearch"
    oldest = _OLDEST[name]
    if _numbers(number) < oldest:
        wanted = ".".join(map(str, oldest))
        raise ConfigError(f"the cluster is {name} {number}; {wanted} or newer is needed")
    return OpenSearchDialect(number) if name == "opensearch" else ElasticsearchDialect(number)


def _of_node(client: OpenSearch, doing: str) -> Json:
    """The same of the node that answers: Elasticsearch for tests comes without the root page."""
    with cluster_errors(doing):
        nodes = client.nodes.info(node_id="_local")["nodes"]
    [node] = nodes.values()
    # Only Elasticsearch has flavours.
    distribution = "elasticsearch" if "build_flavor" in node else "opensearch"
    return {"version": {"number": node["version"], "distribution": distribution}}


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", version)[:2])
