"""What the walk-through runs beside itself: the index builder, and the sidecar while it lasts."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
import tomllib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from local_cluster import Say, Ticker, start_kept, stop_kept
from rerank_core.cluster.settings import ClusterSettings
from rerank_core.errors import ConfigError, SetupError

PROFILE = "walkthrough"
"""The one profile of the sidecar that is started here."""
_SETTINGS = Path(__file__).parents[1] / "deploy" / "sidecar.toml"
_ADVICE = ("legs", "fusion", "rerank_depth", "blend")

_START_S = 120.0
_LOOK_EVERY_S = 0.1
_TOLD_LINES = 10


@dataclass(frozen=True)
class Models:
    """Which models rerank and encode: names, or model folders."""

    reranker: str = "student"
    encoder: str = "minilm"


def advice() -> dict[str, Any]:
    """Legs, their fusion, rerank_depth and blend of deploy/sidecar.toml: advice stands there alone.

    Raises `ConfigError` where it does not.
    """
    try:
        profile = tomllib.loads(_SETTINGS.read_text(encoding="utf-8"))["profiles"]["products"]
        return {name: profile[name] for name in _ADVICE}
    except (OSError, ValueError, KeyError) as error:
        raise ConfigError(f"{_SETTINGS}: has no profile to search by: {error!r}") from error


def build_index(
    catalogue: Path, alias: str, cluster: ClusterSettings, models: Models, rejects: Path
) -> None:
    """Rebuilds the index behind `alias`; what the builder says goes to the terminal.

    Raises `SetupError` where it fails.
    """
    command = ["index_builder", "rebuild", str(catalogue), "--alias", alias]
    flags = ["--encoder", models.encoder, "--reranker", models.reranker, "--rejects", str(rejects)]
    # Its answer, a line of JSON, says once more what it has told on stderr.
    code = subprocess.run(
        [sys.executable, "-m", *command, *flags],
        env={**os.environ, **_address(cluster)},
        stdout=subprocess.DEVNULL,
        check=False,
    ).returncode
    if code:
        raise SetupError(f"the index builder ended with exit code {code}; its reason stands above")


@contextmanager
def running_sidecar(
    alias: str, depth: int, cluster: ClusterSettings, models: Models, say: Say
) -> Iterator[str]:
    """A sidecar that serves `PROFILE` on a free loopback port: its ``host:port``.

    It ends with the block, and with this process however that ends. Raises `SetupError` with its
    last words where it does not come to serve.
    """
    ticker = Ticker("starting the sidecar", say)
    with tempfile.TemporaryDirectory(prefix="rerank-demo-") as made:
        folder = Path(made)
        config, port_file, log = (folder / name for name in ("sidecar.toml", "port", "log"))
        config.write_text(
            sidecar_config(alias, depth, cluster, models, port_file), encoding="utf-8"
        )
        with log.open("wb") as output:
            keeper = start_kept(
                [sys.executable, "-m", "sidecar", "--config", str(config)],
                folder=folder,
                # Its settings are the file's alone, whatever the environment holds for another.
                environ={k: v for k, v in os.environ.items() if not k.startswith("RERANK_")},
                output=output,
            )
        try:
            yield await_serving(keeper, port_file, log, ticker)
        finally:
            stop_kept(keeper)


def await_serving(
    keeper: subprocess.Popen[bytes], port_file: Path, log: Path, ticker: Ticker
) -> str:
    """Where the sidecar that was just started serves. Raises `SetupError` with its last words."""
    while keeper.poll() is None:
        if port_file.exists():
            target = f"127.0.0.1:{port_file.read_text(encoding='ascii').strip()}"
            if _serves(target):
                ticker.done()
                return target
        if ticker.elapsed_s > _START_S:
            raise SetupError(f"the sidecar does not serve after {_START_S:.0f} s: {_told(log)}")
        ticker.tick()
        time.sleep(_LOOK_EVERY_S)
    raise SetupError(f"the sidecar ended (exit code {keeper.returncode}): {_told(log)}")


def _serves(target: str) -> bool:
    """True where standard health says SERVING."""
    with grpc.insecure_channel(target) as channel:
        stub: Any = health_pb2_grpc.HealthStub(channel)  # its types name no methods
        try:
            answer = stub.Check(health_pb2.HealthCheckRequest(), timeout=1)
        except grpc.RpcError:
            # Whatever is wrong with it, it does not serve; the caller's patience has an end.
            return False
    return bool(answer.status == health_pb2.HealthCheckResponse.SERVING)


def _told(log: Path) -> str:
    lines = log.read_text("utf-8", "replace").splitlines()
    return "\n".join(lines[-_TOLD_LINES:]) or "it said nothing"


def sidecar_config(
    alias: str, depth: int, cluster: ClusterSettings, models: Models, port_file: Path
) -> str:
    """The sidecar's settings as TOML. It holds the cluster's password."""
    given: Mapping[str, object] = {
        "url": cluster.url,
        "user": cluster.user,
        "password": cluster.password,
        "ca_path": str(cluster.ca_path.resolve()) if cluster.ca_path else None,
        "timeout_s": cluster.timeout_s,
    }
    lines = [
        f"port = 0\nport_file = {_toml(str(port_file))}",
        f"[models]\nreranker = {_toml(_place(models.reranker))}",
        f"encoders = [{_toml(_place(models.encoder))}]",
        "[cluster]",
        *(f"{name} = {_toml(value)}" for name, value in given.items() if value is not None),
        f"[profiles.{PROFILE}]\nalias = {_toml(alias)}\ndepth = {depth}",
        *(f"{name} = {_toml(value)}" for name, value in advice().items()),
    ]
    return "\n".join(lines) + "\n"


def _toml(value: object) -> str:
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{key} = {_toml(part)}" for key, part in value.items()) + " }"
    # JSON's strings and numbers are TOML's too.
    return json.dumps(value, ensure_ascii=False)


def _place(name_or_path: str) -> str:
    """A path that is right from every working directory; a name as it is."""
    if name_or_path in ("student", "minilm"):
        return name_or_path
    return str(Path(name_or_path).expanduser().resolve())


def _address(cluster: ClusterSettings) -> dict[str, str]:
    """The cluster for a child's environment."""
    given = {
        "OPENSEARCH_URL": cluster.url,
        "OPENSEARCH_USER": cluster.user,
        "OPENSEARCH_PASSWORD": cluster.password,
        "OPENSEARCH_CA": str(cluster.ca_path) if cluster.ca_path else None,
    }
    return {name: value for name, value in given.items() if value is not None}
