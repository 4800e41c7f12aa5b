"""The whole funnel on a real cluster: each stage's share of a search."""

from __future__ import annotations

import time
from collections.abc import Iterator

from benchmarks.points import Point, series_point
from benchmarks.scenarios.ground import NO_CACHE, Ground
from benchmarks.scenarios.shop import SETS, indexed, login, some_queries
from local_cluster import use_or_start
from rerank_client import RerankClient
from rerank_core.cluster.settings import ClusterSettings

ABOUT = (
    "Search over gRPC, one caller, strict: query vector, two legs on a real single-node cluster on "
    "the same cores, fusion, rerank. Titles and texts of the catalogue by the model's recipe; each "
    "query once, no score cache. Stage times are the server's own."
)

_PROFILE = "benchmark"
_TIMEOUT_S = 120.0
_DEPTHS = (100, 30)


def points(ground: Ground) -> Iterator[Point]:
    """One point a rerank depth. The index is made for it and deleted."""
    queries = some_queries(ground)
    with use_or_start(say=ground.tell) as settings, indexed(ground, settings) as alias:
        for depth in _DEPTHS:
            yield _searched(ground, alias, depth, settings, queries)


def _searched(
    ground: Ground, alias: str, depth: int, settings: ClusterSettings, queries: list[str]
) -> Point:
    config = ground.scratch / f"funnel-{depth}.toml"
    lines = [
        f'[models]\nreranker = "{ground.artifact.folder}"\nencoders = ["minilm"]',
        f'[cluster]\nurl = "{settings.url}"',
        *(f'{name} = "{value}"' for name, value in login(settings).items()),
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
        {"set": ground.folder(*SETS).path.name, "depth": float(depth)},
        series,
        {"scored_a_query": found / len(queries)},
    )
