"""A node that is killed and started again in the middle of a load."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from index_builder.plan import Plan
from local_cluster import LocalCluster, start_kept, stop_kept
from local_cluster.distribution import OPENSEARCH
from local_cluster.install import default_cache
from local_cluster.java import find_java
from local_cluster.node import _node_environ
from local_cluster.node_user import node_user
from rerank_core.cluster.connection import connect
from tests.fault_proxy import Fault, FaultProxy, Request
from tests.index_builds import QUICK, Shop, lenient, products, write_jsonl
from tests.integration.conftest import SmallModels


def start_again(cluster: LocalCluster) -> subprocess.Popen[bytes]:
    """The same node on the same data; as it listens on a port of the system's choice, on another.

    Its keeper ended with it, and its folder is still there.
    """
    user = node_user()
    usable = user.can_reach if user is not None else os.path.exists
    java = find_java("OPENSEARCH_JAVA_HOME", OPENSEARCH.java_major, usable=usable)
    launcher = default_cache() / OPENSEARCH.folder_name / OPENSEARCH.launcher
    with (cluster.folder / "console.log").open("ab") as log:
        return start_kept(
            [str(launcher)],
            folder=cluster.folder,
            environ=_node_environ(OPENSEARCH, cluster.folder, java.home, os.environ),
            output=log,
            user=user.name if user is not None else None,
        )


@pytest.mark.long
@pytest.mark.timeout(900)
def test_a_node_that_is_killed_in_the_middle_of_a_load_loses_nothing(
    small_models: SmallModels, tmp_path: Path
) -> None:
    """What it had acknowledged it has again, and the rest is asked for until it is there."""
    started: list[subprocess.Popen[bytes]] = []
    with LocalCluster.start() as cluster:
        ports = cluster.folder / "logs" / "http.ports"
        proxy = FaultProxy(cluster.url, lambda _request, _number: None)

        def restart() -> None:
            ports.unlink()
            started.append(start_again(cluster))
            while not ports.exists():
                threading.Event().wait(0.2)
            proxy.upstream = f"http://{ports.read_text().split()[0]}"

        killed = threading.Event()

        def choose(request: Request, number: int) -> Fault | None:
            if request.is_bulk and number == 8 and not killed.is_set():
                killed.set()
                os.kill(cluster.pid, signal.SIGKILL)
                threading.Timer(1, restart).start()
            return None

        proxy.choose = choose
        try:
            with proxy.running():
                settings = replace(cluster.settings, url=proxy.url, timeout_s=60)
                with connect(settings) as client:
                    file = write_jsonl(tmp_path / "shop.jsonl", products(3000, texts=3000))
                    plan = Plan(
                        catalogue=(str(file),),
                        alias="restarted",
                        encoder=str(small_models.bi_encoder),
                        reranker=str(small_models.cross_encoder),
                        rejects=tmp_path / "rejects.jsonl",
                        checkpoint=tmp_path / "checkpoint",
                        replicas=0,
                        gates=lenient(),
                        limits=replace(QUICK, patience_s=300, timeout_s=20),
                    )
                    shop = Shop(client, settings, plan, file)

                    report = shop.build()

                    assert killed.is_set()
                    assert report.swapped
                    assert (report.documents, report.rejected) == (3000, 0)
                    assert report.retries > 0
                    assert shop.contents().keys() == {row["_id"] for row in products(3000)}
        finally:
            for keeper in started:
                stop_kept(keeper)
