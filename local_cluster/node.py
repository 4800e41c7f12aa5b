"""A search node on this machine, from its start to its end."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self

from local_cluster.boot_log import why_it_ended
from local_cluster.distribution import OPENSEARCH, Distribution
from local_cluster.install import default_cache, install
from local_cluster.java import find_java
from local_cluster.keeper import start_kept, stop_kept
from local_cluster.node_folder import configure, new_node_folder
from local_cluster.node_user import node_user
from local_cluster.progress import Say, Ticker, say
from rerank_core.cluster.connection import connect
from rerank_core.cluster.failures import cluster_errors
from rerank_core.cluster.settings import ClusterSettings
from rerank_core.errors import ClusterError, ToolMissingError

_HEAP = "-Xms1g -Xmx1g"
_LOG_NAME = "console.log"


class LocalCluster:
    """A running single-node cluster for throw-away data; a context manager that stops it.

    The node listens on loopback alone, without TLS or passwords. It ends, and its folder goes, with
    `stop` or with this process, whichever way that ends.
    """

    def __init__(
        self, url: str, pid: int, folder: Path, keeper: subprocess.Popen[bytes], undo: ExitStack
    ) -> None:
        self.url = url
        """Where it answers."""
        self.pid = pid
        """The process of the node itself, a JVM."""
        self.folder = folder
        """Configuration, data and logs, as long as it runs."""
        self._keeper = keeper
        self._undo = undo

    @classmethod
    def start(
        cls,
        *,
        cache: Path | None = None,
        port: int = 0,
        distribution: Distribution = OPENSEARCH,
        environ: Mapping[str, str] = os.environ,
        boot_timeout_s: float = 240.0,
        say: Say = say,
    ) -> Self:
        """Installs what is missing, starts a node and comes back when it is healthy.

        `cache` holds what is installed (None: `default_cache`), `port` 0 is one that the system
        chooses. ``OPENSEARCH_JAVA_OPTS`` in `environ` may say another heap than 1 GB,
        ``OPENSEARCH_JAVA_HOME`` another Java. Raises `ToolMissingError` with
        what this machine lacks or, where the node does not come up, with its own words.
        """
        if sys.platform != "linux":
            raise ToolMissingError(
                f"a local cluster needs Linux, and this is {sys.platform}; start one yourself "
                "(docker compose up) and name it by OPENSEARCH_URL"
            )
        user = node_user()
        usable = user.can_reach if user is not None else os.path.exists
        java = find_java(
            f"{distribution.variables}_JAVA_HOME",
            distribution.java_major,
            environ=environ,
            usable=usable,
            at_most=distribution.java_newest,
        )
        if port:
            _check_port(port)
        # Maven looks for a Java on the PATH, and ours need not be there.
        with_java = {**environ, "JAVA_HOME": environ.get("JAVA_HOME") or str(java.home)}
        place = install(distribution, cache or default_cache(environ), say, with_java)
        if not usable(place):
            raise ToolMissingError(
                f"{place}: closed to the unprivileged account that the node runs as; name another "
                "cache by RERANK_CACHE",
            )
        ticker = Ticker(f"starting {distribution.name} {distribution.version}", say)
        with ExitStack() as undo:
            folder = new_node_folder(user)
            undo.callback(shutil.rmtree, folder, ignore_errors=True)
            configure(folder, distribution, place, java, port)
            if user is not None:
                user.own(folder)
            with (folder / _LOG_NAME).open("wb") as log:
                keeper = start_kept(
                    [str(place / distribution.launcher)],
                    folder=folder,
                    environ=_node_environ(distribution, folder, java.home, environ),
                    output=log,
                    user=user.name if user is not None else None,
                )
            undo.callback(stop_kept, keeper)
            url, pid = _await_health(keeper, folder, ticker, boot_timeout_s)
            ticker.done()
            return cls(url, pid, folder, keeper, undo.pop_all())

    @property
    def settings(self) -> ClusterSettings:
        """For `connect`."""
        return ClusterSettings(self.url)

    def wait(self) -> None:
        """Comes back only with bad news: `ToolMissingError` when the node has ended by itself."""
        self._keeper.wait()
        raise ToolMissingError(why_it_ended(self._keeper.returncode, self.folder / _LOG_NAME))

    def stop(self) -> None:
        """Ends the node, waits for its end and removes its folder; harmless when repeated."""
        self._undo.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()


@contextmanager
def use_or_start(
    environ: Mapping[str, str] = os.environ, say: Say = say
) -> Iterator[ClusterSettings]:
    """Settings of the cluster that ``OPENSEARCH_URL`` names, else of one started for the while."""
    if environ.get("OPENSEARCH_URL"):
        yield ClusterSettings.from_environment(environ)
        return
    with LocalCluster.start(environ=environ, say=say) as cluster:
        yield cluster.settings


def _check_port(port: int) -> None:
    with socket.socket() as probe:
        # As servers bind: connections that have ended on the port do not count.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            raise ToolMissingError(
                f"port {port} cannot be had ({error.strerror}); stop what listens there, or choose "
                "another (0: the system chooses)",
            ) from error


def _node_environ(
    distribution: Distribution, folder: Path, java_home: Path, environ: Mapping[str, str]
) -> dict[str, str]:
    """Nothing but what the node needs: our environment may hold secrets."""
    prefix = distribution.variables
    # Here and not in the node's jvm.options, since the launcher's small Javas crash, too.
    crash_report = f"-XX:ErrorFile={folder / 'logs' / 'hs_err.log'}"
    # Elasticsearch would take half of the machine's memory. Of two heaps the later one counts.
    options = f"{crash_report} {_HEAP} {environ.get(f'{prefix}_JAVA_OPTS', '')}"
    return {
        "PATH": environ.get("PATH", os.defpath),
        f"{prefix}_JAVA_HOME": str(java_home),
        f"{prefix}_JAVA_OPTS": options,
        f"{prefix}_PATH_CONF": str(folder / "config"),
        f"{prefix}_TMPDIR": str(folder / "tmp"),
    }


def _await_health(
    keeper: subprocess.Popen[bytes], folder: Path, ticker: Ticker, boot_timeout_s: float
) -> tuple[str, int]:
    """The node's url and process id, as soon as it is yellow or green."""
    ports = folder / "logs" / "http.ports"
    while keeper.poll() is None:
        if ports.exists():
            url = f"http://{ports.read_text(encoding='utf-8').split()[0]}"
            if pid := _healthy_pid(url):
                return url, pid
        if ticker.elapsed_s > boot_timeout_s:
            raise ToolMissingError(
                f"the search node was not healthy within {boot_timeout_s:.0f} s; this machine is "
                "too busy or too small for it",
            )
        ticker.tick()
        time.sleep(0.1)
    raise ToolMissingError(why_it_ended(keeper.returncode, folder / _LOG_NAME))


def _healthy_pid(url: str) -> int | None:
    with connect(ClusterSettings(url)) as client:
        try:
            with cluster_errors("waiting for the node"):
                if client.cluster.health()["status"] not in ("yellow", "green"):
                    return None
                (node,) = client.nodes.info(node_id="_local", metric="process")["nodes"].values()
        except ClusterError:
            return None
    return int(node["process"]["id"])
