"""Stage 4: the teacher's answers for the pool."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from rich.console import Console

from distillation.labels.labelling import label, price
from distillation.labels.store import LabelStore, logits
from distillation.pipeline.pool import POOL
from distillation.pipeline.recipe import Labels
from distillation.pipeline.split import Material
from distillation.pipeline.stage import Finished
from distillation.teachers.contract import Pair, Teacher

STORE = "label-store"
"""One for all label stages of an output folder: no teacher is asked a pair twice."""
LABELS = "labels.parquet"
_DRY_RUN = 256


def do_labels(
    settings: Labels,
    pool: Finished,
    teacher: Teacher,
    material: Material,
    folder: Path,
    show: Console,
) -> dict[str, Any]:
    """Fills the store and writes `labels.parquet`: query, product, logit, in the pool's order.

    The store is that beside `folder`: where more labels are wanted, the rest alone is asked.
    Answers that could not be read are counted and left out.
    """
    rows = pq.read_table(pool.folder / POOL).slice(0, settings.pairs)
    queries, products = rows["query"].to_pylist(), rows["product"].to_pylist()
    texts = {name: teacher.text.compose(material.products[name]) for name in set(products)}
    pairs = [
        Pair(material.queries[query], texts[name])
        for query, name in zip(queries, products, strict=True)
    ]
    store = LabelStore(folder.parent / STORE)
    foretold = price(store, teacher, pairs, dry_run=_DRY_RUN, chunk=settings.chunk)
    show.print(
        f"{foretold.pairs:,} pairs, {foretold.known:,} known, "
        f"about {foretold.seconds / 60:.0f} min for the rest",
        highlight=False,
    )
    label(store, teacher, pairs, chunk=settings.chunk, cap=settings.cap, show=show)
    found = logits(store.read(), teacher.identity, pairs)
    readable = np.flatnonzero(~np.isnan(found))
    table = rows.take(readable).append_column("logit", [found[readable]])
    pq.write_table(table, folder / LABELS)
    return {
        "teacher": asdict(teacher.identity),
        "pairs": len(pairs),
        "unreadable": len(pairs) - len(readable),
        "missed": store.missed(teacher.identity),
        "price": asdict(foretold),
    }


def read_labels(stage: Finished, pairs: int | None) -> Mapping[str, dict[str, float]]:
    """Query to product to logit of the first so many labels, in the pool's order."""
    table = pq.read_table(stage.folder / LABELS)
    if pairs is not None:
        table = table.slice(0, pairs)
    found: dict[str, dict[str, float]] = {}
    for query, name, logit in zip(
        *(table[column].to_pylist() for column in ("query", "product", "logit")), strict=True
    ):
        found.setdefault(query, {})[name] = logit
    return found
