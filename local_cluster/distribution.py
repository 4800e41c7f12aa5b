"""What a search server is made of: where its parts come from and how it wants to be started."""

from __future__ import annotations

from dataclasses import dataclass

from rerank_core.hashing import hash_json


@dataclass(frozen=True, slots=True)
class MavenZip:
    """A zip on Maven Central, and where its content goes in an install."""

    group: str
    artifact: str
    version: str
    sha256: str
    """Of the zip as published: what comes through a mirror must be this and nothing else."""
    inside: str = ""
    """The folder in the zip whose content is wanted, with its slash."""
    target: str = "."
    """The folder in the install that takes it."""

    @property
    def coordinates(self) -> str:
        """As Maven writes them."""
        return f"{self.group}:{self.artifact}:{self.version}:zip"

    @property
    def repository_path(self) -> str:
        """Where a Maven repository keeps it."""
        folder = f"{self.group.replace('.', '/')}/{self.artifact}/{self.version}"
        return f"{folder}/{self.artifact}-{self.version}.zip"


@dataclass(frozen=True, slots=True)
class Distribution:
    """One server with its plugins."""

    name: str
    version: str
    zips: tuple[MavenZip, ...]
    left_out: tuple[str, ...]
    """Beginnings of paths in the install that nobody here needs."""
    launcher: str
    variables: str
    """What the names of its environment variables begin with: ``<variables>_JAVA_HOME``, ..."""
    java_major: int
    """The oldest Java it runs on."""
    settings: str
    """Its configuration, apart from ports and folders."""

    @property
    def folder_name(self) -> str:
        """Another one as soon as what is installed changes."""
        zips = [[part.coordinates, part.sha256, part.target] for part in self.zips]
        return f"{self.name}-{self.version}-{hash_json([zips, self.left_out])[:8]}"


OPENSEARCH = Distribution(
    name="opensearch",
    version="3.5.0",
    zips=(
        MavenZip(
            group="org.opensearch.distribution.integ-test-zip",
            artifact="opensearch",
            version="3.5.0",
            sha256="b676ad392c95a94d8d2bd8785b8b922c7811536daf6a9ec0c7277a34bd8a17a9",
            inside="opensearch-3.5.0/",
        ),
        MavenZip(
            group="org.opensearch.plugin",
            artifact="opensearch-knn",
            version="3.5.0.0",
            sha256="99fdf3ac9ef95974e276298b83a58532bf21ba13bd5fd96a4b59465b7e613309",
            target="plugins/opensearch-knn",
        ),
    ),
    # 75 MB of it are databases of where IP addresses are.
    left_out=("modules/ingest-geoip/",),
    launcher="bin/opensearch",
    variables="OPENSEARCH",
    java_major=21,
    settings="""\
discovery.type: single-node
network.host: 127.0.0.1
# A misspelt index or an alias that went missing is an error, never a new index.
action.auto_create_index: false
# A nearly full disk is no reason to refuse a throw-away index.
cluster.routing.allocation.disk.threshold_enabled: false
node.store.allow_mmap: true
# The node tells which ports it was given by writing them to files beside its logs.
node.portsfile: true
""",
)
"""The only 3.x release whose k-NN plugin is published to Maven Central beside the server."""

ELASTICSEARCH = Distribution(
    name="elasticsearch",
    version="9.2.0",
    zips=(
        MavenZip(
            group="org.elasticsearch.distribution.integ-test-zip",
            artifact="elasticsearch",
            version="9.2.0",
            sha256="bf44938a0490ba2a303d39c9cb64b38963dd08c812ce93e10816e878585bcb6b",
            inside="elasticsearch-9.2.0/",
        ),
    ),
    left_out=(),
    launcher="bin/elasticsearch",
    variables="ES",
    java_major=21,
    settings="""\
discovery.type: single-node
network.host: 127.0.0.1
xpack.security.enabled: false
action.auto_create_index: false
cluster.routing.allocation.disk.threshold_enabled: false
node.portsfile: true
""",
)
"""Without mustache templates, reciprocal rank fusion and inference, which this zip leaves out."""

DISTRIBUTIONS = {kind.name: kind for kind in (OPENSEARCH, ELASTICSEARCH)}
"""By name."""
