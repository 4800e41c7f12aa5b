"""What a Maven that fails is made to say: small programs stand in its place on the PATH."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from local_cluster import LocalCluster
from local_cluster.distribution import OPENSEARCH
from local_cluster.java import find_java
from local_cluster.maven import fetch
from rerank_core.errors import ToolMissingError


def _environ(folder: Path, script: str) -> dict[str, str]:
    """A PATH on which `script` is the mvn, and no JAVA_HOME."""
    mvn = folder / "bin" / "mvn"
    mvn.parent.mkdir()
    mvn.write_text(f"#!/bin/sh\n{script}\n")
    mvn.chmod(0o755)
    return {"PATH": f"{mvn.parent}:{os.environ['PATH']}"}


@pytest.mark.parametrize(
    ("script", "problem"),
    [
        ("echo '[ERROR] no route to host'; echo more; exit 1", "could not be fetched: no route to"),
        (
            "echo one; echo; echo 'JAVA_HOME is not'; echo 'defined correctly'; echo three; exit 1",
            "mvn ended with status 1: JAVA_HOME is not; defined correctly; three; Maven must",
        ),
        ("exit 3", "mvn ended with status 3: it said nothing"),
        ("echo done", "mvn ended with status 0 and brought no zip: done"),
    ],
)
def test_the_reason_is_mavens_own(tmp_path: Path, script: str, problem: str) -> None:
    """Its error where it names one, else the last three lines; a missing zip is a failure, too."""
    environ = _environ(tmp_path, script)
    stage = tmp_path / "stage"
    stage.mkdir()
    with pytest.raises(ToolMissingError, match=problem):
        fetch(OPENSEARCH.zips[1], stage, lambda _: None, environ)


@pytest.mark.parametrize("own", ["", "/somewhere/else"])
def test_maven_runs_on_the_java_that_was_found(tmp_path: Path, own: str) -> None:
    """A Java that is not on the PATH serves it as well; what the user chose is left alone."""
    environ = _environ(tmp_path, 'echo "on $JAVA_HOME"; exit 1')
    if own:
        environ["JAVA_HOME"] = own
    java = find_java("OPENSEARCH_JAVA_HOME", OPENSEARCH.java_major, environ)
    with pytest.raises(ToolMissingError, match=f"on {own or java.home}; Maven must"):
        LocalCluster.start(cache=tmp_path / "cache", environ=environ, say=lambda _: None)


def test_another_system_is_told_what_it_can_do(monkeypatch: pytest.MonkeyPatch) -> None:
    """The node's keeper rests on Linux; a cluster of one's own does not."""
    monkeypatch.setattr("sys.platform", "darwin")
    with pytest.raises(ToolMissingError, match=r"needs Linux, and this is darwin.*OPENSEARCH_URL"):
        LocalCluster.start()
