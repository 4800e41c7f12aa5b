"""The sidecar as the first process of a container, which no signal ends by itself."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path

import grpc
import pytest

from rerank_proto.rerank.v1 import rerank_pb2 as pb
from rerank_proto.rerank.v1 import rerank_pb2_grpc as pb_grpc
from tests.sidecar_process import PATIENCE_S, command, environment, running, wait_until
from tests.tiny_models import make_cross_encoder

# A PID namespace is what makes a container's first process: /proc says that it is 1 in there.
CONTAINER = ["unshare", "--user", "--map-root-user", "--pid", "--fork", "--kill-child"]


@pytest.fixture(autouse=True)
def _namespaces():
    made = subprocess.run([*CONTAINER, "true"], capture_output=True, text=True, check=False)
    if made.returncode:
        pytest.skip(f"this system lets nobody make a PID namespace: {made.stderr}")


def _first(outer: subprocess.Popen) -> int:
    """The process id of the container's first process, as it is seen from here."""
    children = Path(f"/proc/{outer.pid}/task/{outer.pid}/children")
    wait_until(lambda: children.read_text().strip(), lambda: outer.poll() is None)
    (pid,) = children.read_text().split()
    status = Path(f"/proc/{pid}/status").read_text()
    assert status.partition("NSpid:")[2].splitlines()[0].split() == [pid, "1"]
    return int(pid)


def test_a_second_signal_ends_it_at_once(tmp_path):
    """Amid a drain that would take ten minutes."""
    flags = ["--models.reranker", make_cross_encoder(tmp_path / "cross"), "--workers", 1]
    flags += ["--default-budget-ms", 600_000, "--grace-s", 600]
    text = "cordless drill with a very long text " * 50
    documents = [pb.Document(id=str(n), text=f"{n} {text}") for n in range(1000)]
    with (
        running(tmp_path / "run", *flags, within=CONTAINER) as sidecar,
        grpc.insecure_channel(sidecar.target) as channel,
    ):
        stub = pb_grpc.RerankServiceStub(channel)
        calls = [
            stub.Rerank.future(pb.RerankRequest(query="drill", documents=documents))
            for _ in range(12)
        ]
        stub.Rerank(pb.RerankRequest(query="drill", documents=documents[:1]))
        first = _first(sidecar.process)
        os.kill(first, signal.SIGTERM)
        sidecar.wait_logged("draining")
        os.kill(first, signal.SIGTERM)
        assert sidecar.process.wait(PATIENCE_S) == 128 + signal.SIGTERM
        assert any(call.exception(PATIENCE_S) for call in calls)
        assert sidecar.errors == ""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_stop_amid_its_start_ends_it(tmp_path, number):
    """Here it still reads its settings, from a pipe that nobody writes to."""
    pipe = tmp_path / "settings"
    os.mkfifo(pipe)
    with subprocess.Popen(
        [*CONTAINER, *command("--config", pipe)],
        env=environment(),
        stderr=subprocess.PIPE,
        start_new_session=True,
    ) as outer:
        try:
            end = _opened_by_reader(pipe)
            first = _first(outer)
            os.kill(first, number)
            assert outer.wait(PATIENCE_S) == 128 + number
            assert outer.stderr.read() == b""
            os.close(end)
        finally:
            outer.kill()


def _opened_by_reader(pipe: Path) -> int:
    """The end to write to, once the other one is being read."""
    ends = time.monotonic() + PATIENCE_S
    while True:
        try:
            return os.open(pipe, os.O_WRONLY | os.O_NONBLOCK)
        except OSError:  # nobody reads
            assert time.monotonic() < ends, "the settings were not read"
            time.sleep(0.02)
