"""What a search server is made of: where its parts come from and how it wants to be started."""

from __future__ import annotations

from dataclasses import asdict, dataclass

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
class MavenModule:
    """A module of the server that is published as a jar with dependencies, and not in the zip."""

    name: str
    artifact: str
    classname: str
    """Of the plugin in it, below ``org.opensearch``."""
    extends: str = ""
    """The module whose classes it needs."""
    policy: str = ""
    """Permissions, as Java's security manager reads them."""

    def descriptor(self, version: str) -> str:
        """The file by which a server knows a module."""
        return (
            f"name={self.name}\ndescription={self.name}\nversion={version}\n"
            f"opensearch.version={version}\njava.version=11\n"
            f"classname=org.opensearch.{self.classname}\nextended.plugins={self.extends}\n"
            "has.native.controller=false\n"
        )


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
    java_newest: int | None = None
    """The newest Java it runs on; None: any."""
    modules: tuple[MavenModule, ...] = ()
    """Those that the zip lacks."""
    modules_sha256: str = ""
    """Over the names and checksums of all their jars."""

    @property
    def folder_name(self) -> str:
        """Another one as soon as what is installed changes."""
        zips = [[part.coordinates, part.sha256, part.target] for part in self.zips]
        modules = [asdict(module) for module in self.modules]
        parts = [zips, self.left_out, *([modules, self.modules_sha256] if modules else ())]
        return f"{self.name}-{self.version}-{hash_json(parts)[:8]}"


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

_GRANT = 'permission java.lang.RuntimePermission "{}";'
_PROXY = 'permission java.net.NetPermission "getProxySelector";'

OPENSEARCH_2 = Distribution(
    name="opensearch",
    version="2.19.1",
    zips=(
        MavenZip(
            group="org.opensearch.distribution.integ-test-zip",
            artifact="opensearch",
            version="2.19.1",
            sha256="af7152d8b7f6f1cee09d47276b32b70479fe6dd8cdbb61213f84eb7f8098b261",
            inside="opensearch-2.19.1/",
        ),
        *(
            MavenZip(
                group="org.opensearch.plugin",
                artifact=artifact,
                version="2.19.1.0",
                sha256=sha256,
                target=f"plugins/{artifact}",
            )
            for artifact, sha256 in (
                (
                    "opensearch-job-scheduler",
                    "a54e12582b88a4c173d6e58b16fbc609df12a04eff010ae30396905a1a882bf6",
                ),
                (
                    "opensearch-knn",
                    "eab8c9818865bc035212eab5068cdacae164baa09d4c152f49b736d6f6b0e85c",
                ),
                (
                    "opensearch-ml-plugin",
                    "2324234d81109dcb2c488da5a6b2034cc0f78d9d08e40ce49ba59fc423a5df5f",
                ),
                (
                    "neural-search",
                    "b17ca1d774692902c58cbae102bf463970740c31d81446866e8eabd336e285aa",
                ),
            )
        ),
    ),
    # 300 MB for models that run inside the cluster.
    left_out=(
        "plugins/opensearch-ml-plugin/onnxruntime_gpu",
        "plugins/opensearch-ml-plugin/tokenizers",
    ),
    launcher="bin/opensearch",
    variables="OPENSEARCH",
    java_major=17,
    # It installs a security manager, which Java 24 no longer has; untried between.
    java_newest=17,
    settings="""\
discovery.type: single-node
network.host: 127.0.0.1
cluster.routing.allocation.disk.threshold_enabled: false
node.portsfile: true
# No node is set apart for models, and a remote one takes no memory.
plugins.ml_commons.only_run_on_ml_node: false
plugins.ml_commons.native_memory_threshold: 100
""",
    modules=(
        MavenModule(
            name="lang-painless",
            artifact="lang-painless",
            classname="painless.PainlessPlugin",
            policy=f"grant {{ {_GRANT.format('createClassLoader')} "
            f"{_GRANT.format('getClassLoader')} }};",
        ),
        MavenModule(
            name="lang-mustache",
            artifact="lang-mustache-client",
            classname="script.mustache.MustachePlugin",
            policy=f"grant {{ {_GRANT.format('accessDeclaredMembers')} }};",
        ),
        MavenModule(
            name="analysis-common",
            artifact="analysis-common",
            classname="analysis.common.CommonAnalysisPlugin",
            extends="lang-painless",
        ),
        MavenModule(
            name="mapper-extras",
            artifact="mapper-extras-client",
            classname="index.mapper.MapperExtrasPlugin",
        ),
        MavenModule(
            name="reindex",
            artifact="reindex-client",
            classname="index.reindex.ReindexPlugin",
            policy='grant { permission java.net.SocketPermission "*", "connect"; }; '
            f'grant codeBase "${{codebase.opensearch-rest-client}}" {{ {_PROXY} }}; '
            f'grant codeBase "${{codebase.httpasyncclient}}" {{ {_PROXY} }};',
        ),
        MavenModule(
            name="rank-eval",
            artifact="rank-eval-client",
            classname="index.rankeval.RankEvalPlugin",
        ),
        MavenModule(
            name="ingest-common",
            artifact="ingest-common",
            classname="ingest.common.IngestCommonPlugin",
            extends="lang-painless",
        ),
        MavenModule(
            name="parent-join",
            artifact="parent-join-client",
            classname="join.ParentJoinPlugin",
        ),
    ),
    modules_sha256="36d3c6bf78f249adb7c01282a6169db2d866bafdb10126b1f1d95ff68a758ce8",
)
"""The newest release whose ml-commons and neural-search are published to Maven Central: the place
where the stock `rerank` processor and the `hybrid` query run."""

DISTRIBUTIONS = {
    "opensearch": OPENSEARCH,
    "opensearch-2.19": OPENSEARCH_2,
    "elasticsearch": ELASTICSEARCH,
}
"""By the name that the command takes."""
