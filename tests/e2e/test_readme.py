"""The README's commands, run as they stand there."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from rerank_core.cluster.connection import connect
from rerank_core.cluster.settings import ClusterSettings

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```(\w+)\n(.*?)```", README, re.DOTALL)
OWN_CATALOGUE = "python -m index_builder rebuild"


def block(language: str, holding: str) -> str:
    """The one block of a language that holds a text."""
    [found] = [text for tag, text in BLOCKS if tag == language and holding in text]
    return found


@contextmanager
def running(command: list[str], folder: Path, environ: dict[str, str]) -> Iterator[None]:
    """A server, stopped as a person would stop it, with SIGINT; it must end well."""
    process = subprocess.Popen(command, cwd=folder, env=environ, stdout=subprocess.DEVNULL)
    try:
        yield
    finally:
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 0


def wait_until_serving(port: int) -> None:
    """Returns when standard health says SERVING, within a minute."""
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        health = health_pb2_grpc.HealthStub(channel)
        for _ in range(600):
            with contextlib.suppress(grpc.RpcError):  # not listening yet
                answer = health.Check(health_pb2.HealthCheckRequest(), timeout=5)
                if answer.status == health_pb2.HealthCheckResponse.SERVING:
                    return
            time.sleep(0.1)
    pytest.fail(f"nothing serves on {port}")


def test_every_make_target_shown_exists() -> None:
    """Each `make X` in a block is a target of the Makefile, which says what it is for."""
    shown = {
        word for _, text in BLOCKS for word in re.findall(r"^make ([a-z-]+)", text, re.MULTILINE)
    }
    helped = subprocess.run(["make", "help"], cwd=ROOT, check=True, capture_output=True, text=True)
    targets = {line.split()[0] for line in helped.stdout.splitlines()}
    assert {"demo", "test"} <= shown <= targets


def test_own_catalogue_from_build_to_answer(cluster: ClusterSettings, tmp_path: Path) -> None:
    """The commands of the section, in their order, against a real cluster; then its Python."""
    shutil.copytree(ROOT / "deploy", tmp_path / "deploy")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environ = {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),  # the README's commands are run in the checkout
        "OPENSEARCH_URL": cluster.url,
        "RERANK_CLUSTER__URL": cluster.url,
        "RERANK_PORT": str(port),
    }
    lines = [line.partition("#")[0].strip() for line in block("sh", OWN_CATALOGUE).splitlines()]
    commands = [line.split() for line in lines if line.startswith("python ")]
    *steps, server = commands
    assert server[:3] == ["python", "-m", "sidecar"]
    try:
        for command in steps:
            subprocess.run(command, cwd=tmp_path, env=environ, check=True, timeout=200)
        with running(server, tmp_path, environ):
            wait_until_serving(port)
            code = block("python", "RerankClient").replace("127.0.0.1:50051", f"127.0.0.1:{port}")
            answer = subprocess.run(
                [sys.executable, "-c", code],
                cwd=tmp_path,
                env=environ,
                check=False,
                capture_output=True,
                text=True,
                timeout=60,
            )
        assert answer.returncode == 0, answer.stderr
        assert len(answer.stdout.splitlines()) == 10
    finally:
        with connect(cluster) as client:
            for index in client.indices.get_alias(name="products"):
                client.indices.delete(index=index)
