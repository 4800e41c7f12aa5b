"""Stage 4: the teacher's answers for the pool."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from rich.console import Console

from distillation.labels.labelling import Labelling, Price
from distillation.pipeline.pool import POOL
from distillation.pipeline.recipe import Labels
from distillation.pipeline.split import Material
from distillation.pipeline.stage import Finished
from distillation.teachers.contract import Pair, Teacher

LABELS = "labels.parquet"
_SAMPLE = 256


def do_labels(
    settings: Labels,
    pool: Finished,
    teacher: Teacher,
    material: Material,
    labelling: Labelling,
    folder: Path,
    show: Console,
) -> dict[str, Any]:
    """Fills the store and writes `labels.parquet`: query, product, logit, in the pool's order.

    Where more labels are wanted, the rest alone is asked. Answers that could not be read are
    counted and left out. Raises `ConfigError` before a pair is asked where the cap is too low.
    """
    rows = pool_rows(settings, pool)
    pairs = pairs_of(rows, teacher, material)
    labelling.require_room(teacher, pairs)
    foretold = labelling.price(teacher, pairs, sample=_SAMPLE)
    show.print(line(foretold), highlight=False)
    labelling.label(teacher, pairs)
    found = labelling.known(teacher, pairs)
    readable = np.flatnonzero(np.isfinite(found))
    table = rows.take(readable).append_column("logit", [found[readable]])
    pq.write_table(table, folder / LABELS)
    return {
        "teacher": asdict(teacher.identity),
        "pairs": len(pairs),
        "unreadable": len(pairs) - len(readable),
        "missed": labelling.missed(teacher),
        "price": asdict(foretold),
    }


def pool_rows(settings: Labels, pool: Finished) -> pa.Table:
    """The part of the pool that is to be labelled."""
    return pq.read_table(pool.folder / POOL).slice(0, settings.pairs)


def pairs_of(rows: pa.Table, teacher: Teacher, material: Material) -> list[Pair]:
    """Rows of the pool as the teacher reads them."""
    queries, products = rows["query"].to_pylist(), rows["product"].to_pylist()
    texts = {name: teacher.text.compose(material.products[name]) for name in set(products)}
    return [
        Pair(material.queries[query], texts[name])
        for query, name in zip(queries, products, strict=True)
    ]


def line(price: Price) -> str:
    """A price in words."""
    tokens = f" and {price.tokens:,} tokens" if price.tokens else ""
    return (
        f"{price.pairs:,} pairs, {price.known:,} known, {price.tried:,} asked just now, "
        f"about {price.seconds / 60:.0f} min{tokens} for the rest"
    )


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
