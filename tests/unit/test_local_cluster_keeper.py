"""What runs under a keeper never outlives who started it, however that one ends."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from local_cluster.keeper import start_kept, stop_kept
from local_cluster.node_folder import new_node_folder
from local_cluster.node_user import node_user

_LONG_S = 30.0

# A program with a child, as the server's launcher is while it boots; both write their ids.
_TREE = "sleep 1000 & echo $! > child; echo $$ > leader; exec sleep 1001"

# Who starts the program in `folder` and then does as `then` says.
_OWNER = """
import os, pathlib, subprocess, sys, time
from local_cluster.keeper import start_kept, stop_kept
folder = pathlib.Path({folder!r})
keeper = start_kept(["bash", "-c", {tree!r}], folder=folder, environ=os.environ,
                    output=sys.stderr.buffer)
while not (folder / "leader").exists() or not (folder / "leader").read_text():
    time.sleep(0.01)
print("running", flush=True)
{then}
"""


def _alive(pid):
    try:
        # The third field; a zombie waits for whoever is the parent of orphans here.
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def _until(condition):
    deadline = time.monotonic() + _LONG_S
    while not condition():
        assert time.monotonic() < deadline, "it did not come about"
        time.sleep(0.02)


def _ids(folder):
    _until(lambda: all((folder / name).exists() for name in ("child", "leader")))
    _until(lambda: all((folder / name).read_text() for name in ("child", "leader")))
    return [int((folder / name).read_text()) for name in ("child", "leader")]


@pytest.fixture
def folder(tmp_path):
    path = tmp_path / "run"
    path.mkdir()
    return path


@pytest.fixture
def start(folder):
    """Starts a bash command under a keeper and stops it after the test."""
    keepers = []

    def begin(script, user=None):
        with (folder / "output").open("wb") as output:
            keeper = start_kept(
                ["bash", "-c", script],
                folder=folder,
                environ={"PATH": os.environ["PATH"], "GIVEN": "yes"},
                output=output,
                user=user,
            )
        keepers.append(keeper)
        return keeper

    yield begin
    for keeper in keepers:
        stop_kept(keeper)


def _own(folder, then):
    code = _OWNER.format(folder=str(folder), tree=_TREE, then=then)
    owner = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
    assert owner.stdout.readline() == b"running\n"
    return owner


def _reap(owner):
    owner.wait(_LONG_S)
    owner.stdout.close()


def test_the_program_runs_in_its_folder_with_the_environment_given(start, folder):
    """Output and status come through, and nothing of our environment."""
    keeper = start('pwd; env | grep -c -e ^HOME= ; echo "$GIVEN"; exit 7')
    assert keeper.wait(_LONG_S) == 7
    assert (folder / "output").read_text().split() == [str(folder), "0", "yes"]


def test_a_program_that_is_killed_ends_as_a_shell_says_it(start):
    """128 + 9: who reads the status sees the kill."""
    assert start("kill -9 $$").wait(_LONG_S) == 137


def test_stopping_ends_the_whole_tree_and_leaves_the_folder_to_us(start, folder):
    """The child that nobody waits for goes, too; logs can still be read."""
    keeper = start(_TREE)
    ids = _ids(folder)
    assert all(map(_alive, ids))
    stop_kept(keeper)
    assert not any(map(_alive, ids))
    assert folder.is_dir()
    stop_kept(keeper)  # harmless


def test_a_child_that_its_program_leaves_behind_is_ended(start, folder):
    """A program that ends by itself leaves nobody either."""
    keeper = start("sleep 1000 & echo $! > child; echo $$ > leader")
    assert keeper.wait(_LONG_S) == 0
    assert not any(map(_alive, _ids(folder)))


def test_a_program_that_will_not_listen_is_forced(start, folder):
    """It gets ten seconds of grace."""
    keeper = start("trap '' TERM; echo $$ > child; echo $$ > leader; while :; do sleep 0.1; done")
    ids = _ids(folder)
    stop_kept(keeper)
    assert not any(map(_alive, ids))


@pytest.mark.parametrize("death", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_killing_the_owner_ends_the_tree_and_removes_the_folder(folder, death):
    """Also by kill -9, which no clean-up of its own survives."""
    owner = _own(folder, "time.sleep(1000)")
    ids = _ids(folder)
    owner.send_signal(death)
    _reap(owner)
    _until(lambda: not any(map(_alive, ids)))
    _until(lambda: not folder.exists())


@pytest.mark.parametrize("then", ["raise SystemExit(3)", "os._exit(3)", "os.abort()"])
def test_an_owner_that_forgets_to_stop_leaves_nothing(folder, then):
    """Whether it ends in order or crashes."""
    owner = _own(folder, then)
    _reap(owner)
    assert owner.returncode != 0
    _until(lambda: not folder.exists())


def test_a_forked_child_of_the_owner_keeps_nothing_alive(folder):
    """What the owner forked holds its open files, and is not the owner."""
    fork = "pid = os.fork()\nif pid == 0: time.sleep(1000)\nprint(pid, flush=True)\nos._exit(0)"
    owner = _own(folder, fork)
    ids = _ids(folder)
    forked = int(owner.stdout.readline())
    _reap(owner)
    try:
        _until(lambda: not any(map(_alive, ids)))
        assert _alive(forked)
    finally:
        os.kill(forked, signal.SIGKILL)


def test_killing_the_keeper_ends_the_program(start, folder):
    """The kernel sees to it."""
    keeper = start(_TREE)
    _, leader = _ids(folder)
    keeper.kill()
    keeper.wait(_LONG_S)
    _until(lambda: not _alive(leader))
    for pid in _ids(folder):  # what only the keeper would have ended
        if _alive(pid):
            os.kill(pid, signal.SIGKILL)


def test_the_thread_that_starts_may_end(start, folder):
    """A worker thread that starts a node does not take it along."""
    thread = threading.Thread(target=start, args=(_TREE,))
    thread.start()
    thread.join()
    ids = _ids(folder)
    time.sleep(1.2)  # two of the keeper's looks
    assert all(map(_alive, ids))


def test_a_ctrl_c_in_the_terminal_is_the_owners_alone(start, folder):
    """The program is in a session of its own, where the terminal's signals do not go."""
    start(_TREE)
    for pid in _ids(folder):
        assert os.getsid(pid) != os.getsid(0)


def test_the_program_runs_as_the_unprivileged_user():
    """For root as nobody, without root's groups; for all others as themselves."""
    user = node_user()
    folder = new_node_folder(user)
    if user is not None:
        user.own(folder)
    with (folder / "output").open("wb") as output:
        keeper = start_kept(
            ["bash", "-c", "id -u; id -g; id -G; touch mine"],
            folder=folder,
            environ={"PATH": os.environ["PATH"]},
            output=output,
            user=user.name if user else None,
        )
    assert keeper.wait(_LONG_S) == 0
    uid, gid, *groups = map(int, (folder / "output").read_text().split())
    shutil.rmtree(folder)
    assert [uid, gid] == ([user.uid, user.gid] if user else [os.geteuid(), os.getegid()])
    assert user is None or groups == [user.gid]
