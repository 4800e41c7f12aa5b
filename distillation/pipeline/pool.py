"""Stage 3: unlabelled pairs, mined."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from rich.console import Console

from distillation.pipeline.recipe import Mine, Pool
from distillation.pipeline.split import UNLABELLED, Material
from distillation.pool.bm25 import bm25_index
from distillation.pool.drawing import draw, generator
from distillation.pool.neighbours import encode, nearest
from distillation.pool.shutting import normalised, shut_out
from distillation.progress import counted
from rerank_core.cluster.settings import ClusterSettings
from rerank_core.errors import ConfigError

POOL = "pool.parquet"


def do_pool(
    pool: Pool, material: Material, cluster: ClusterSettings | None, folder: Path, show: Console
) -> dict[str, Any]:
    """Writes `pool.parquet`: query, product and origin, list by list; returns counts."""
    require_cluster(pool, cluster)
    table: dict[str, list[Any]] = {"query": [], "product": [], "origin": []}
    shut, seen, left = 0, set[str](), pool.queries
    for mine in pool.mine:
        ids = _candidates(mine, material)
        texts = [material.queries[one] for one in ids]
        barred = shut_out(texts, material.shut_out, likeness=pool.near_duplicate)
        shut += len(barred)
        kept: list[str] = []
        for index, (one, text) in enumerate(zip(ids, texts, strict=True)):
            if index not in barred and normalised(text) not in seen and len(kept) < left:
                seen.add(normalised(text))
                kept.append(one)
        left -= len(kept)
        if kept:
            _mine(pool, mine, kept, material, cluster, table, show)
    if not table["query"]:
        raise ConfigError("pool: no query is left to mine for; name queries that are not judged")
    pq.write_table(pa.table(table), folder / POOL)
    return {
        "queries": len(set(table["query"])),
        "pairs": len(table["query"]),
        "origins": dict(Counter(table["origin"])),
        "shut_out": shut,
    }


def require_cluster(pool: Pool, cluster: ClusterSettings | None) -> None:
    """Raises `ConfigError` where the pool is to be mined by BM25 and no cluster is named."""
    if pool.bm25 and cluster is None:
        raise ConfigError("pool.bm25: needs a cluster; give --cluster URL, or set pool.bm25=0")


def _candidates(mine: Mine, material: Material) -> list[str]:
    known = material.unlabelled
    if mine.queries not in known:
        raise ConfigError(f"pool.mine: no queries named {mine.queries!r}; there: {sorted(known)}")
    ids = list(known[mine.queries])
    if mine.judged and mine.queries != UNLABELLED:
        ids += material.of_set("human", mine.queries)
    return ids


def _mine(
    pool: Pool,
    mine: Mine,
    ids: Sequence[str],
    material: Material,
    cluster: ClusterSettings | None,
    table: dict[str, list[Any]],
    show: Console,
) -> None:
    names = [name for name in material.products if name.split("/")[0] in mine.catalogues]
    if not names:
        raise ConfigError(f"pool.mine: no products in {list(mine.catalogues)}")
    texts = [pool.text.compose(material.products[name]) for name in names]
    queries = [material.queries[one] for one in ids]
    rankings: list[dict[str, list[int]]] = [{} for _ in ids]
    if pool.bm25 and cluster is not None:
        with (
            bm25_index(cluster, texts) as index,
            counted(show, f"BM25 of {mine.queries}", len(ids)) as more,
        ):
            for place, found in enumerate(index.search(queries, pool.depth, more)):
                rankings[place]["bm25"] = found
    if pool.neighbours:
        with counted(show, "vectors", len(texts) + len(ids)) as more:
            vectors = encode(pool.base, [*texts, *queries], more)
        products, asked = vectors[: len(texts)], vectors[len(texts) :]
        for place, found in enumerate(nearest(asked, products, pool.depth)):
            rankings[place]["neighbour"] = found
    counts = {"bm25": pool.bm25, "neighbour": pool.neighbours, "random": pool.random}
    for one, query, ranking in zip(ids, queries, rankings, strict=True):
        chosen = draw(ranking, counts, texts, generator(pool.seed, query))
        if len(chosen) < 2:  # no margin to learn
            continue
        for place, origin in chosen:
            table["query"].append(one)
            table["product"].append(names[place])
            table["origin"].append(origin)
