"""A real node leaves nothing behind: no process, no folder, whatever happens to who started it."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from local_cluster import LocalCluster
from local_cluster.node_user import node_user
from rerank_core.cluster.connection import connect
from rerank_core.cluster.failures import cluster_errors
from rerank_core.cluster.settings import ClusterSettings
from rerank_core.errors import ClusterUnavailable, ToolMissingError

_LONG_S = 240.0
_ROOT = Path(__file__).parents[2]
_RUN = [sys.executable, "-m", "local_cluster", "run"]


@pytest.fixture
def temporary():
    """A temporary folder of the test's own, which the node's account may enter.

    The paths of all its processes' folders begin with it, so it is what they are found by.
    """
    folder = Path(tempfile.mkdtemp(prefix="life-"))
    folder.chmod(0o755)
    yield folder
    for pid in _processes(folder):
        os.kill(pid, signal.SIGKILL)
    shutil.rmtree(folder)


def _processes(folder, saying=b""):
    found = []
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            if entry.name.isdigit():
                command = (entry / "cmdline").read_bytes()
                if os.fsencode(folder) in command and saying in command:
                    found.append(int(entry.name))
    return found


def _nodes(folder):
    """JVMs of nodes, and not the launcher or its helpers."""
    return _processes(folder, b"org.opensearch.bootstrap.OpenSearch")


def _until(condition):
    deadline = time.monotonic() + _LONG_S
    while not condition():
        assert time.monotonic() < deadline, "it did not come about"
        time.sleep(0.05)


def _begin(temporary, command=_RUN):
    environ = {name: value for name, value in os.environ.items() if name != "OPENSEARCH_URL"}
    return subprocess.Popen(
        command,
        cwd=_ROOT,
        env=environ | {"TMPDIR": str(temporary)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def test_kill_9_of_the_owner_takes_a_running_node_along(temporary):
    """It answers, its process is the one it is said to be, and then it is gone."""
    with _begin(temporary) as owner:
        settings = ClusterSettings(owner.stdout.readline().strip())
        with connect(settings) as client:
            assert client.info()["version"]["number"] == "3.5.0"
            assert client.cluster.health()["status"] in ("yellow", "green")
            owner.kill()
            owner.communicate()
            _until(lambda: not _processes(temporary))
            with pytest.raises(ClusterUnavailable), cluster_errors("asking the dead"):
                client.info()
    _until(lambda: list(temporary.iterdir()) == [])


@pytest.mark.parametrize(
    ("death", "whom"),
    [
        (signal.SIGINT, "owner"),
        (signal.SIGTERM, "owner"),
        (signal.SIGKILL, "owner"),
        (signal.SIGKILL, "keeper"),
    ],
)
def test_a_node_that_still_boots_goes_too(temporary, death, whom):
    """Ctrl-C, SIGTERM, kill -9 of the owner or of the keeper while the JVM comes up."""
    with _begin(temporary) as owner:
        _until(lambda: _nodes(temporary))
        if whom == "keeper":
            (pid,) = _processes(temporary, b"keeper.py")
            os.kill(pid, death)
        else:
            os.killpg(owner.pid, death)  # as the terminal does
        _, said = owner.communicate(timeout=_LONG_S)
        _until(lambda: not _processes(temporary))
    if death == signal.SIGINT:
        assert owner.returncode == 130
    if whom == "keeper":
        assert owner.returncode == 1
        assert "error: the search node ended" in said
    assert "Traceback" not in said
    _until(lambda: list(temporary.iterdir()) == [])


def test_a_failing_test_stops_the_node_of_its_session(temporary):
    """The fixture that all tests use, in a run of pytest that fails."""
    suite = temporary / "suite"
    suite.mkdir()
    shutil.copy(_ROOT / "tests" / "conftest.py", suite)
    (suite / "test_failing.py").write_text(
        "from rerank_core.cluster.connection import connect\n"
        "def test_fails(cluster, index_name):\n"
        "    with connect(cluster) as client:\n"
        "        client.indices.create(index=index_name)\n"
        "    raise ValueError('on purpose')\n",
    )
    run = [sys.executable, "-m", "pytest", "-c", str(_ROOT / "pyproject.toml"), "-p"]
    run += ["no:cacheprovider", "-q", "--rootdir", str(suite), str(suite)]
    with _begin(temporary, run) as pytest_run:
        _until(lambda: _nodes(temporary) or pytest_run.poll() is not None)
        assert _nodes(temporary), pytest_run.communicate()
        told, _ = pytest_run.communicate(timeout=_LONG_S)
    assert pytest_run.returncode == 1
    assert "ValueError: on purpose" in told
    assert "1 failed" in told
    assert "error" not in told.splitlines()[-1]  # the index was deleted without complaint
    assert _processes(temporary) == []
    assert [path.name for path in temporary.iterdir()] == ["suite"]


def test_a_cluster_that_cannot_be_started_fails_the_tests(temporary):
    """It never skips them."""
    suite = temporary / "suite"
    suite.mkdir()
    shutil.copy(_ROOT / "tests" / "conftest.py", suite)
    (suite / "test_asking.py").write_text("def test_asks(cluster):\n    pass\n")
    run = ["env", "OPENSEARCH_JAVA_HOME=/nowhere", sys.executable, "-m", "pytest", "-q", "-p"]
    run += ["no:cacheprovider", "-c", str(_ROOT / "pyproject.toml"), "--rootdir", str(suite)]
    with _begin(temporary, [*run, str(suite)]) as pytest_run:
        told, _ = pytest_run.communicate(timeout=_LONG_S)
    assert pytest_run.returncode == 1
    assert "1 error" in told
    assert "OPENSEARCH_JAVA_HOME=/nowhere holds no Java" in told


def test_a_heap_that_the_machine_has_not_is_said(temporary, monkeypatch):
    """By the mend, with the node's own words, and without a folder left."""
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    environ = os.environ | {"OPENSEARCH_JAVA_OPTS": "-Xms9000g -Xmx9000g"}
    with pytest.raises(ToolMissingError, match=r"another heap, such as OPENSEARCH_JAVA_OPTS"):
        LocalCluster.start(environ=environ, say=lambda _: None)
    assert list(temporary.iterdir()) == []


def test_a_node_that_takes_too_long_is_ended(temporary, monkeypatch):
    """The time is an argument; nothing is left."""
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    with pytest.raises(ToolMissingError, match=r"not healthy within 1 s"):
        LocalCluster.start(boot_timeout_s=1.0, say=lambda _: None)
    assert _processes(temporary) == []
    assert list(temporary.iterdir()) == []


def test_nodes_live_side_by_side_until_one_dies(temporary, monkeypatch, cluster):
    """Own ports, process, account and data; one install; a death is told, `stop` repeats."""
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    user = node_user()
    with LocalCluster.start(say=lambda _: None) as node:
        assert node.url != cluster.url
        assert node.settings == ClusterSettings(node.url)
        assert _nodes(temporary) == [node.pid]
        assert Path(f"/proc/{node.pid}").stat().st_uid == (user.uid if user else os.geteuid())
        size_bytes = sum(path.stat().st_size for path in node.folder.rglob("*") if path.is_file())
        assert size_bytes < 1 << 20
        os.kill(node.pid, signal.SIGKILL)
        with pytest.raises(ToolMissingError, match=r"status 137; it was killed"):
            node.wait()
        node.stop()
        assert _processes(temporary) == []
        assert list(temporary.iterdir()) == []
    with connect(cluster) as client:
        assert client.cluster.health()["status"] in ("yellow", "green")
