"""The whole funnel on a real cluster: each stage's share of a search."""

from __future__ import annotations

import os
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator

from benchmarks.points import Point, series_point
from benchmarks.scenarios.ground import NO_CACHE, Ground
from local_cluster import use_or_start
from rerank_client import RerankClient
from rerank_core.cluster.connection import connect
from rerank_core.cluster.settings import ClusterSettings
from rerank_core.errors import SetupError

ABOUT = (
    "Search over gRPC, one caller, strict: query vector, two legs on a real single-node cluster on "
    "the same cores, fusion, rerank. Titles and texts of the catalogue by the model's recipe; each "
    "query once, no score cache. Stage times are the server's own."
)

_SETS = ("esci150", "icecat")
_PROFILE = "benchmark"
_TIMEOUT_S = 120.0
_DEPTHS = (100, 30)


def points(ground: Ground) -> Iterator[Point]:
    """One point a rerank depth. The index is made for it and deleted."""
    folder = ground.folder(*_SETS)
    queries = list(dict.fromkeys(text for text in folder.queries().values() if text.strip()))
    queries = queries[: int(ground.pick(60, 15))]
    alias = f"benchmark-{uuid.uuid4().hex[:12]}"
    with use_or_start(say=ground.tell) as settings:
        try:
            ground.tell(f"indexing {folder.path.name}")
            _build(ground, alias, settings)
            for depth in _DEPTHS:
                yield _searched(ground, alias, depth, settings, queries)
        finally:
            with connect(settings) as client:
                for index in client.indices.get(index=f"{alias}-*", ignore_unavailable=True):
                    client.indices.delete(index=index)


def _searched(
    ground: Ground, alias: str, depth: int, settings: ClusterSettings, queries: list[str]
) -> Point:
    config = ground.scratch / f"funnel-{depth}.toml"
    lines = [
        f'[models]\nreranker = "{ground.artifact.folder}"\nencoders = ["minilm"]',
        f'[cluster]\nurl = "{settings.url}"',
        *(f'{name} = "{value}"' for name, value in _login(settings).items()),
        f'[profiles.{_PROFILE}]\nalias = "{alias}"\ndepth = {depth}',
    ]
    config.write_text("\n".join(lines) + "\n", encoding="utf-8")
    with (
        ground.sidecar("--config", str(config), *NO_CACHE) as sidecar,
        RerankClient(sidecar.target, timeout_s=_TIMEOUT_S) as client,
    ):
        ground.tell(f"searching to depth {depth}")
        client.search(_PROFILE, queries[0])  # connections of the server to the cluster
        series: dict[str, list[float]] = {"service_ms": []}
        found = 0
        for query in queries:
            began = time.perf_counter()
            result = client.search(_PROFILE, query, strict=True)
            series["service_ms"].append((time.perf_counter() - began) * 1e3)
            found += result.scored
            for stage, ms in result.stages_ms.items():
                series.setdefault(f"stage_{stage}_ms", []).append(ms)
    return series_point(
        {"set": ground.folder(*_SETS).path.name, "depth": float(depth)},
        series,
        {"scored_a_query": found / len(queries)},
    )


def _build(ground: Ground, alias: str, settings: ClusterSettings) -> None:
    command = ["index_builder", "rebuild", str(ground.folder(*_SETS).path), "--alias", alias]
    flags = ["--encoder", "minilm", "--reranker", str(ground.artifact.folder)]
    flags += ["--rejects", str(ground.scratch / "rejects.jsonl")]
    done = subprocess.run(  # noqa: S603  words of ours
        [sys.executable, "-m", *command, *flags],
        env={**os.environ, **_environment(settings)},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        last = done.stderr.strip().splitlines()[-1:] or ["it said nothing"]
        raise SetupError(f"the index builder ended with exit code {done.returncode}: {last[0]}")


def _environment(settings: ClusterSettings) -> dict[str, str]:
    names = {"user": "USER", "password": "PASSWORD", "ca_path": "CA"}
    login = {f"OPENSEARCH_{names[name]}": value for name, value in _login(settings).items()}
    return {"OPENSEARCH_URL": settings.url, **login}


def _login(settings: ClusterSettings) -> dict[str, str]:
    given = {
        "user": settings.user,
        "password": settings.password,
        "ca_path": str(settings.ca_path.resolve()) if settings.ca_path else None,
    }
    return {name: value for name, value in given.items() if value is not None}
