"""A real sidecar in a process of its own, of this build or of another."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from local_cluster import start_kept, stop_kept
from rerank_core.errors import SetupError

_START_S = 120.0
_LOOK_EVERY_S = 0.02
_TOLD_LINES = 5
_PATH_VARIABLE = "RERANK_NUMERIC_PATH"


@dataclass(frozen=True)
class Build:
    """How a build's sidecar is started: a command, and what its environment has besides."""

    name: str = "this"
    command: tuple[str, ...] = (sys.executable, "-m", "sidecar")
    environ: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Sidecar:
    """A running one."""

    target: str
    """``host:port`` of its gRPC surface."""
    http: str
    """``host:port`` of its HTTP surface; empty where it has none."""
    pid: int
    serving_after_s: float
    """From exec to standard health saying SERVING."""

    def resident_bytes(self) -> tuple[int, int]:
        """Now, and at most so far."""
        status = Path(f"/proc/{self.pid}/status").read_text(encoding="ascii").splitlines()
        sizes = dict(line.split(":", 1) for line in status)
        now, most = (int(sizes[name].split()[0]) * 1024 for name in ("VmRSS", "VmHWM"))
        return now, most


@contextmanager
def running(
    folder: Path,
    *flags: str,
    build: Build | None = None,
    numeric_path: str | None = None,
    http: bool = False,
) -> Iterator[Sidecar]:
    """A sidecar on free loopback ports, gone after the block and with this process.

    `folder` is made for it. Settings are the flags' alone, whatever the environment holds. Raises
    `SetupError` with its last words where it does not come to serve.
    """
    build = build or Build()
    folder.mkdir(parents=True)
    port_file, http_file, log = (folder / name for name in ("port", "http-port", "log"))
    command = [*build.command, "--port", "0", "--port-file", str(port_file), *flags]
    if http:
        command += ["--http.port", "0", "--http.port-file", str(http_file)]
    kept = {name: value for name, value in os.environ.items() if not name.startswith("RERANK_")}
    chosen = {_PATH_VARIABLE: numeric_path} if numeric_path else {}
    began = time.perf_counter()
    with log.open("wb") as output:
        keeper = start_kept(
            command, folder=folder, environ={**kept, **build.environ, **chosen}, output=output
        )
    try:
        target = _await_serving(keeper, port_file, log, began)
        took_s = time.perf_counter() - began
        at = f"127.0.0.1:{http_file.read_text(encoding='ascii').strip()}" if http else ""
        yield Sidecar(target, at, _child(keeper.pid), took_s)
    finally:
        stop_kept(keeper)


def _child(keeper: int) -> int:
    children = Path(f"/proc/{keeper}/task/{keeper}/children").read_text(encoding="ascii").split()
    return int(children[0])


def _await_serving(
    keeper: subprocess.Popen[bytes], port_file: Path, log: Path, began: float
) -> str:
    while keeper.poll() is None:
        if port_file.exists():
            target = f"127.0.0.1:{port_file.read_text(encoding='ascii').strip()}"
            if _serves(target):
                return target
        if time.perf_counter() - began > _START_S:
            raise SetupError(f"the sidecar does not serve after {_START_S:.0f} s: {_told(log)}")
        time.sleep(_LOOK_EVERY_S)
    raise SetupError(f"the sidecar ended (exit code {keeper.returncode}): {_told(log)}")


def _serves(target: str) -> bool:
    with grpc.insecure_channel(target) as channel:
        stub: Any = health_pb2_grpc.HealthStub(channel)  # its types name no methods
        try:
            answer = stub.Check(health_pb2.HealthCheckRequest(), timeout=1)
        except grpc.RpcError:
            return False  # not listening yet; the caller's patience has an end
    return bool(answer.status == health_pb2.HealthCheckResponse.SERVING)


def _told(log: Path) -> str:
    lines = log.read_text("utf-8", "replace").splitlines()
    return "\n".join(lines[-_TOLD_LINES:]) or "it said nothing"
