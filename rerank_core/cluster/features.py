"""What a cluster can do, found by asking it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from opensearchpy import AsyncOpenSearch, OpenSearch

from rerank_core.cluster.failures import NO_CLUSTER, cluster_errors
from rerank_core.cluster.templates import Template
from rerank_core.errors import ClusterUnavailable

_DOING = "asking the cluster what it can do"
_METRIC = "plugins"


@dataclass(frozen=True, slots=True)
class Features:
    """Engine, version, and what all of its nodes have."""

    engine: str
    """``opensearch`` or ``elasticsearch``."""
    version: str
    parts: frozenset[str]
    """Names of plugins and modules."""
    refuses: str = ""
    """Why it does not fuse though it has the part, such as its licence; known once it was asked."""

    @property
    def stores_templates(self) -> bool:
        """It renders mustache itself; else templates are rendered by who asks."""
        return "lang-mustache" in self.parts

    @property
    def hybrid(self) -> bool:
        """It fuses legs itself: OpenSearch by neural-search, Elasticsearch by its RRF retriever."""
        return self.needs["hybrid"] in self.parts and not self.refuses

    @property
    def native_pipelines(self) -> bool:
        """A hybrid query is fused by a search pipeline, which must be there."""
        return self.hybrid and self.engine == "opensearch"

    @property
    def needs(self) -> Mapping[str, str]:
        """The plugin or module behind each thing that a template may require."""
        own = "opensearch-neural-search" if self.engine == "opensearch" else "x-pack-rank-rrf"
        return {"hybrid": own}

    def lacks(self, template: Template) -> str:
        """Why the template does not run here; empty where it does."""
        missing = [
            self.needs.get(need, need)
            for need in sorted(template.requires)
            if self.needs.get(need) not in self.parts
        ]
        return f"{self.engine} {self.version} lacks {', '.join(missing)}" if missing else ""


def read_features(answer: Any) -> Features:
    """What ``GET _nodes/plugins`` says. Raises `ClusterUnavailable` where that is no answer."""
    nodes: Iterable[Any] = answer.get("nodes", {}).values() if isinstance(answer, Mapping) else ()
    whole = [node for node in nodes if isinstance(node, Mapping) and "version" in node]
    if not whole:
        raise ClusterUnavailable(f"{_DOING}: {NO_CLUSTER}")
    parts = [
        {part["name"] for kind in ("plugins", "modules") for part in node.get(kind, ())}
        for node in whole
    ]
    # Only Elasticsearch has flavours.
    engine = "elasticsearch" if "build_flavor" in whole[0] else "opensearch"
    oldest = min((str(node["version"]) for node in whole), key=_numbers)
    return Features(engine, oldest, frozenset.intersection(*map(frozenset, parts)))


def find_features(client: OpenSearch) -> Features:
    """Asks the cluster. Raises `ClusterError`."""
    with cluster_errors(_DOING):
        answer = client.nodes.info(metric=_METRIC)
    return read_features(answer)


async def find_features_async(client: AsyncOpenSearch, timeout_s: float) -> Features:
    """`find_features` for an event loop."""
    with cluster_errors(_DOING):
        answer = await client.nodes.info(metric=_METRIC, request_timeout=timeout_s)
    return read_features(answer)


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.partition("-")[0].split(".") if part.isdigit())
