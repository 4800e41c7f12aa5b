"""An install comes through Maven whole or not at all, from a mirror that misbehaves.

The k-NN plugin is fetched once from where the machine's Maven gets it; the repository that this
leaves is then served on loopback as the mirror, plugins of Maven included.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import signal
import subprocess
import sys
import threading
import time
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from local_cluster.distribution import OPENSEARCH
from local_cluster.install import install
from local_cluster.maven import fetch
from rerank_core.errors import ToolMissingError

_LONG_S = 120.0
_KNN = OPENSEARCH.zips[1]
_PLUGIN_ALONE = dataclasses.replace(
    OPENSEARCH,
    zips=(_KNN,),
    left_out=("plugins/opensearch-knn/NOTICE",),
)

_INSTALL = """
import sys, pathlib, dataclasses
from local_cluster.distribution import OPENSEARCH
from local_cluster.install import install
alone = dataclasses.replace(
    OPENSEARCH, zips=OPENSEARCH.zips[1:], left_out=("plugins/opensearch-knn/NOTICE",))
print(install(alone, pathlib.Path(sys.argv[1])))
"""


class _Mirror(SimpleHTTPRequestHandler):
    """Serves a repository; of the zip it does what the server's list of manners says next."""

    def do_GET(self):
        if not self.path.endswith(".zip"):
            return super().do_GET()
        manner = self.server.manners.pop(0)
        self.server.asked.set()
        content = Path(self.translate_path(self.path)).read_bytes()
        if manner == "stall":
            self.server.released.wait(_LONG_S)
        if manner == "corrupt":
            content = content[:1000] + b"?" + content[1001:]
        self.send_response(200)
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        with contextlib.suppress(ConnectionError):
            self.wfile.write(content[: len(content) // 2] if manner == "cut" else content)
        return None

    def log_message(self, *_):
        """Keeps the test's output clean."""


@pytest.fixture(scope="module")
def repository(tmp_path_factory):
    """What Maven leaves behind after a fetch from where it always fetches."""
    stage = tmp_path_factory.mktemp("seed")
    path = fetch(_KNN, stage, lambda _: None)
    for unwanted in stage.rglob("_remote.repositories"):
        unwanted.unlink()
    for checksum in path.parent.glob("*.zip.sha1"):
        checksum.unlink()  # Maven would find a corrupt zip itself; some zips have no checksum
    return path.parents[len(Path(_KNN.repository_path).parts) - 1]


@pytest.fixture
def mirror(repository, tmp_path):
    """A mirror that the Maven runs below `tmp_path` take for the whole world."""
    with ThreadingHTTPServer(
        ("127.0.0.1", 0),
        partial(_Mirror, directory=str(repository)),
    ) as server:
        server.manners = []
        server.asked, server.released = threading.Event(), threading.Event()
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        settings = tmp_path / "settings.xml"
        settings.write_text(
            "<settings><mirrors><mirror><id>here</id><mirrorOf>*</mirrorOf>"
            f"<url>http://127.0.0.1:{server.server_address[1]}/</url></mirror></mirrors></settings>",
        )
        (tmp_path / ".mvn").mkdir()
        (tmp_path / ".mvn" / "maven.config").write_text(f"--global-settings\n{settings}\n")
        yield server
        server.released.set()
        server.shutdown()
        thread.join()


def _mentioning(folder):
    found = []
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            if entry.name.isdigit() and os.fsencode(folder) in (entry / "cmdline").read_bytes():
                found.append(int(entry.name))
    return found


def _until(condition):
    deadline = time.monotonic() + _LONG_S
    while not condition():
        assert time.monotonic() < deadline, "it did not come about"
        time.sleep(0.05)


def test_what_comes_twice_broken_is_refused(mirror, tmp_path):
    """First cut off, then with one byte changed: an error with the reason, and nothing is left."""
    mirror.manners += ["cut", "corrupt"]
    cache = tmp_path / "cache"
    said = []
    with pytest.raises(ToolMissingError, match=r"opensearch-knn.*could not be fetched.*sha256"):
        install(_PLUGIN_ALONE, cache, said.append)
    assert [path.suffix for path in cache.iterdir()] == [".lock"]
    (cut, changed) = [line for line in said if line.startswith(_KNN.coordinates)]
    assert "sha256" not in cut
    assert "sha256" in changed
    assert mirror.manners == []


def test_a_killed_fetch_and_a_corrupt_one_are_made_good_once_for_all(mirror, tmp_path):
    """Kill -9 while Maven downloads leaves no Maven; then two processes at once fetch once."""
    mirror.manners += ["stall", "corrupt", "whole"]
    cache = tmp_path / "cache"
    run = [sys.executable, "-c", _INSTALL, str(cache)]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen(run, **pipes) as killed:
        assert mirror.asked.wait(_LONG_S)
        assert len(_mentioning(cache)) > 1
        killed.send_signal(signal.SIGKILL)
    _until(lambda: not _mentioning(cache))
    mirror.released.set()

    with subprocess.Popen(run, **pipes) as first, subprocess.Popen(run, **pipes) as second:
        answers = [process.communicate(timeout=_LONG_S) for process in (first, second)]
    place = cache / _PLUGIN_ALONE.folder_name
    assert [out.strip() for out, _ in answers] == [str(place)] * 2
    assert sum("another process is installing" in err for _, err in answers) == 1
    assert mirror.manners == []  # each zip was asked for as often as said above, and no more

    assert sorted(path.name for path in cache.iterdir()) == [place.name, f"{place.name}.lock"]
    plugin = place / "plugins" / "opensearch-knn"
    assert (plugin / "opensearch-knn-3.5.0.0.jar").stat().st_size == 1_167_620
    assert not (plugin / "NOTICE.txt").exists()
    assert (plugin / "LICENSE.txt").exists()
    modes = {path.stat().st_mode & 0o777 for path in place.rglob("*") if path.is_file()}
    assert modes == {0o644}
    assert plugin.stat().st_mode & 0o777 == 0o755
