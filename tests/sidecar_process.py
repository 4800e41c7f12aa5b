"""A real sidecar in a process of its own, on a free loopback port."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

ROOT = Path(__file__).parents[1]
PATIENCE_S = 60.0
"""Until a test gives up on something that should happen at once; decides nothing else."""


def command(*arguments) -> list[str]:
    """The command line of `python -m sidecar`."""
    return [sys.executable, "-m", "sidecar", *map(str, arguments)]


def environment() -> dict[str, str]:
    """This environment, without settings of a sidecar."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("RERANK_")}
    return kept | {"HF_HUB_OFFLINE": "1"}


def run(*arguments) -> subprocess.CompletedProcess[str]:
    """Runs a sidecar that is expected to end by itself."""
    return subprocess.run(
        command(*arguments),
        cwd=ROOT,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )


class Sidecar:
    """A running sidecar."""

    def __init__(
        self, folder: Path, *arguments, http: bool = False, within: Sequence[str] = ()
    ) -> None:
        self._log = folder / "log"
        self._errors = folder / "errors"
        self._port_file = folder / "port"
        http_port_file = folder / "http-port"
        if http:
            arguments += ("--http.port", 0, "--http.port-file", http_port_file)
        with self._log.open("wb") as out, self._errors.open("wb") as err:
            self.process = subprocess.Popen(
                [*within, *command("--port", 0, "--port-file", self._port_file, *arguments)],
                cwd=ROOT,
                env=environment(),
                stdout=out,
                stderr=err,
            )
        wait_until(self._port_file.exists, self.alive)
        self.target = f"127.0.0.1:{self._port_file.read_text().strip()}"
        if http:
            self.url = f"http://127.0.0.1:{http_port_file.read_text().strip()}"

    def alive(self) -> bool:
        """Whether the process runs."""
        return self.process.poll() is None

    def health(self, service: str = "") -> int:
        """The standard health status of a service, or of the whole."""
        with grpc.insecure_channel(self.target) as channel:
            request = health_pb2.HealthCheckRequest(service=service)
            return health_pb2_grpc.HealthStub(channel).Check(request, timeout=PATIENCE_S).status

    def wait_serving(self) -> None:
        """Waits for the models to be loaded."""
        wait_until(lambda: self.health() == health_pb2.HealthCheckResponse.SERVING, self.alive)

    def wait_logged(self, event: str, count: int = 1, **facts) -> list[dict]:
        """Waits for `count` lines of an event with these facts; returns all there are."""
        wait_until(lambda: len(self.logged(event, **facts)) >= count)
        return self.logged(event, **facts)

    def logged(self, event: str, **facts) -> list[dict]:
        """The whole lines of an event so far, those with these facts."""
        lines = [
            json.loads(line)
            for line in self._log.read_text().splitlines(keepends=True)
            if line.endswith("\n")
        ]
        return [
            line
            for line in lines
            if line["event"] == event and all(line.get(key) == facts[key] for key in facts)
        ]

    @property
    def log_text(self) -> str:
        """All of the log so far."""
        return self._log.read_text()

    @property
    def errors(self) -> str:
        """What was said on stderr so far."""
        return self._errors.read_text()

    def resident_mb(self, field: str = "VmRSS") -> float:
        """Of the process, as the kernel has it; `VmHWM` is its peak so far."""
        status = Path(f"/proc/{self.process.pid}/status").read_text(encoding="ascii")
        (line,) = (line for line in status.splitlines() if line.startswith(f"{field}:"))
        return int(line.split()[1]) / 1024

    def stop(self) -> int:
        """SIGTERM; the exit code."""
        self.process.terminate()
        return self.process.wait(PATIENCE_S)


@contextmanager
def running(
    folder: Path,
    *arguments,
    serving: bool = True,
    http: bool = False,
    within: Sequence[str] = (),
) -> Iterator[Sidecar]:
    """A sidecar that is gone after the block, however that ends. `within`: what runs it."""
    folder.mkdir(parents=True, exist_ok=True)
    sidecar = Sidecar(folder, *arguments, http=http, within=within)
    try:
        if serving:
            sidecar.wait_serving()
        yield sidecar
    finally:
        sidecar.process.kill()
        sidecar.process.wait(PATIENCE_S)


def wait_until(true, alive=lambda: True) -> None:
    """Polls until a condition holds; fails where the process ends or patience does."""
    ends = time.monotonic() + PATIENCE_S
    while not true():
        assert alive(), "the process ended too early"
        assert time.monotonic() < ends, "it did not happen"
        time.sleep(0.02)
