"""What a machine may lack is said before anything is started."""

from __future__ import annotations

import os
import shutil
import socket
import stat
from dataclasses import replace
from pathlib import Path

import pytest

from local_cluster import LocalCluster, use_or_start
from local_cluster.boot_log import why_it_ended
from local_cluster.distribution import OPENSEARCH
from local_cluster.install import check_disk, default_cache, install
from local_cluster.node_folder import new_node_folder
from local_cluster.node_user import NodeUser
from rerank_core.cluster.settings import ClusterSettings
from rerank_core.errors import ConfigError, ToolMissingError


def _silent(_line):
    """Nobody waits in a test."""


def test_a_cluster_of_ones_own_is_used_and_none_started():
    """There is neither Java nor Maven in this environment, so nothing could be started."""
    environ = {"OPENSEARCH_URL": "http://search:9200", "PATH": ""}
    with use_or_start(environ) as settings:
        assert settings == ClusterSettings("http://search:9200")


def test_a_wrong_address_is_an_error_and_no_reason_to_start_one():
    """What was asked for is not replaced."""
    with pytest.raises(ConfigError, match="url"), use_or_start({"OPENSEARCH_URL": "search"}):
        pass


def test_a_missing_maven_is_named_with_its_mend(tmp_path):
    """Where nothing is installed yet it is needed."""
    with pytest.raises(ToolMissingError, match=r"Maven is needed.*apt-get install maven"):
        install(OPENSEARCH, tmp_path, _silent, {"PATH": str(tmp_path)})
    assert [path.suffix for path in tmp_path.iterdir()] == [".lock"]


def test_what_is_installed_needs_no_maven(tmp_path):
    """The second time is quick and offline."""
    place = tmp_path / OPENSEARCH.folder_name
    place.mkdir()
    assert install(OPENSEARCH, tmp_path, _silent, {"PATH": ""}) == place


@pytest.mark.parametrize("inside", ["", "inner"])
def test_a_cache_that_cannot_be_written_is_named(tmp_path, inside):
    """With the variable that names another."""
    file = tmp_path / "file"
    file.touch()
    with pytest.raises(ToolMissingError, match=r"file.*cannot be written.*RERANK_CACHE"):
        install(OPENSEARCH, file / inside, _silent)


def test_too_little_disk_is_said_in_numbers(tmp_path):
    """Needed and free, and where to go instead."""
    free_bytes = shutil.disk_usage(tmp_path).free
    check_disk(tmp_path, free_bytes // 2)
    with pytest.raises(ToolMissingError, match=f"are free, {free_bytes * 2 >> 20} MB are needed"):
        check_disk(tmp_path, free_bytes * 2)


def test_a_port_that_is_taken_is_said_at_once():
    """Before a node needs half a minute to find out."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ToolMissingError, match=f"port {port} cannot be had"):
            LocalCluster.start(port=port, say=_silent)


def test_the_cache_is_where_the_node_can_read_it(monkeypatch):
    """The variable decides; root's home is never the place."""
    assert default_cache({"RERANK_CACHE": "/somewhere"}) == Path("/somewhere")
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert default_cache({"XDG_CACHE_HOME": "/root/x"}) == Path("/var/cache/rerank-sidecar")
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert default_cache({"XDG_CACHE_HOME": "/home/x"}) == Path("/home/x/rerank-sidecar")
    assert default_cache({}) == Path.home() / ".cache" / "rerank-sidecar"


def test_a_temporary_folder_that_the_node_cannot_enter_is_named(tmp_path, monkeypatch):
    """Some accounts' temporary folders are closed to others."""
    tmp_path.chmod(0o700)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    stranger = NodeUser("stranger", uid=2**31 - 2, gid=2**31 - 2)
    assert not stranger.can_reach(tmp_path)
    with pytest.raises(ToolMissingError, match=r"closed to the account 'stranger'.*TMPDIR"):
        new_node_folder(stranger)
    assert list(tmp_path.iterdir()) == []


def test_a_temporary_folder_with_a_blank_is_refused(tmp_path, monkeypatch):
    """The launcher splits Java's options at blanks."""
    blank = tmp_path / "my folder"
    blank.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(blank))
    with pytest.raises(ToolMissingError, match="white space"):
        new_node_folder(None)


def test_reaching_a_folder_needs_every_folder_on_the_way(tmp_path):
    """By the rights of the owner, the group or the others, whichever applies first."""
    status = tmp_path.stat()
    stranger = NodeUser("stranger", uid=2**31 - 2, gid=2**31 - 2)
    owner = NodeUser("owner", status.st_uid, 2**31 - 2)
    group = NodeUser("group", 2**31 - 2, status.st_gid)
    for mode, reaching in [(0o001, [stranger]), (0o010, [group]), (0o100, [owner])]:
        tmp_path.chmod(mode | stat.S_IRUSR | stat.S_IWUSR)
        found = [user for user in (stranger, group, owner) if user._may_enter(tmp_path.stat())]
        assert found == reaching
    inner = tmp_path / "inner"
    tmp_path.chmod(0o700)
    inner.mkdir(mode=0o755)
    assert not stranger.can_reach(inner)


@pytest.mark.parametrize(
    ("said", "status", "mend"),
    [
        ("java.lang.OutOfMemoryError: Java heap space", 127, "OPENSEARCH_JAVA_OPTS="),
        ("# There is insufficient memory for the Java Runtime", 1, "OPENSEARCH_JAVA_OPTS="),
        ("BindException: Address already in use", 1, "choose another"),
        ("java.io.IOException: No space left on device", 1, "TMPDIR"),
        ("Initial heap size set to a larger value", 1, "OPENSEARCH_JAVA_OPTS="),
        ("Too small maximum heap", 1, "OPENSEARCH_JAVA_OPTS="),
        ("heap size [1gb]", 137, "status 137; it was killed"),
        ("no idea", 1, "no idea"),
    ],
)
def test_the_nodes_own_words_lead_to_the_mend(tmp_path, said, status, mend):
    """Stack frames are left out, the last thing said is kept."""
    log = tmp_path / "log"
    log.write_text(f"{said}\n" + "\tat org.opensearch.Frame.main(Frame.java:1)\n" * 50)
    message = why_it_ended(status, log)
    assert f"status {status}" in message
    assert mend in message
    assert said in message
    assert "Frame.java" not in message


def test_another_content_is_another_install():
    """A cache never serves what the record no longer says."""
    smaller = replace(OPENSEARCH, left_out=())
    assert smaller.folder_name != OPENSEARCH.folder_name
    assert replace(OPENSEARCH, settings="").folder_name == OPENSEARCH.folder_name
