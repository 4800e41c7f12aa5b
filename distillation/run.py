"""One training run: data in, checkpoints and metrics out."""

from __future__ import annotations

import json
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console

from distillation import anchor, training
from distillation.lists import (
    TargetList,
    TokenList,
    check_judged,
    graded_lists,
    halves,
    tokenize,
)
from distillation.recipe import TrainingRecipe
from distillation.student import text_encoder
from distillation.watch import CHECKPOINT, Watch
from rerank_core import records
from rerank_core.artifact import named_folder
from rerank_core.errors import ConfigError
from rerank_core.hashing import hash_file, hash_json
from rerank_core.measures import (
    BeirFolder,
    Judgments,
    mixed,
)

METRICS = "metrics.json"


@dataclass(frozen=True)
class Sources:
    """Where a run's data lies."""

    labels: Path
    """BEIR folder with the judgments."""
    catalogues: tuple[Path, ...] = ()
    """BEIR folders whose products anchor lists are mined from; their judgments are not read."""
    queries: Path | None = None
    """Text file with one unlabelled query a line."""


@dataclass(frozen=True)
class _Data:
    graded: list[TokenList]
    anchored: list[TokenList]
    select: Mapping[str, Mapping[str, float]]
    select_lists: list[TokenList]
    hashes: dict[str, str]


def train_student(
    recipe: TrainingRecipe, sources: Sources, out: Path, *, resume: bool, console: Console
) -> dict[str, Any]:
    """Trains, keeping the last and the best checkpoint and `metrics.json` under `out`.

    The best is the one with the highest pairwise accuracy on the choosing half of dev. Returns
    what `metrics.json` holds. Raises `ConfigError` where `out` holds a run already and `resume`
    is not asked for.
    """
    checkpoint = out / CHECKPOINT
    if checkpoint.exists() and not resume:
        raise ConfigError(f"{out}: holds a run already; give --resume or an empty folder")
    out.mkdir(parents=True, exist_ok=True)
    folder = named_folder(recipe.base)
    data = _read(recipe, sources, folder, out, console)
    base = hash_file(folder / "model.safetensors")
    identity = hash_json([records.to_json(recipe), data.hashes, base])
    state = training.begin(recipe, folder)
    plan = training.plan_run(recipe, data.graded, data.anchored)
    if checkpoint.exists():
        training.load_checkpoint(state, checkpoint, identity)
        console.print(f"resumed at step {state.step}")
    with Watch(recipe, out, identity, (data.select, data.select_lists), console) as watch:
        watch.begin(state, len(plan))
        training.train(recipe, state, plan, data.graded, data.anchored, after_step=watch.after_step)

    metrics = {
        "recipe": records.to_json(recipe),
        "seed": recipe.seed,
        "data": data.hashes,
        "base": base,
        "steps": len(plan),
        "curve": state.curve,
        "wall_seconds": state.curve[-1]["seconds"],
        **environment(),
    }
    (out / METRICS).write_text(json.dumps(metrics, indent=2) + "\n", encoding="utf-8")
    return metrics


def environment() -> dict[str, Any]:
    """Library versions and processor, for the record."""
    names = ("torch", "transformers", "sentence-transformers", "tokenizers", "numpy")
    return {
        "versions": {"python": platform.python_version()} | {name: version(name) for name in names},
        "processor": _processor(),
        "threads": torch.get_num_threads(),
    }


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    if info.is_file():
        for line in info.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


def _read(
    recipe: TrainingRecipe, sources: Sources, folder: Path, out: Path, console: Console
) -> _Data:
    labelled = BeirFolder(sources.labels)
    queries, products = labelled.queries(), labelled.products()
    train = labelled.judgments(recipe.labels.train)
    dev = labelled.judgments(recipe.labels.dev)
    check_judged(queries, products, dev)
    half, _ = halves(queries, dev)
    select = mixed(half)
    if not select:
        raise ConfigError(
            f"{sources.labels}: split {recipe.labels.dev!r} has no query with different grades in "
            "the half that chooses the checkpoint; give more queries"
        )
    encoder = text_encoder(folder, recipe.text)
    scale = recipe.labels.scale
    hashes = {"train": hash_json(train), "select": hash_json(half)}
    hashes["texts"] = hash_json([queries, products])

    def lists(judgments: Judgments) -> list[TokenList]:
        return tokenize(graded_lists(queries, products, judgments, recipe.text, scale), encoder)

    anchored: list[TokenList] = []
    if recipe.anchor is not None:
        targets, hashes["anchor"] = _anchor_targets(recipe, sources, folder, out, console)
        anchored = tokenize(targets, encoder)
    data = _Data(lists(train), anchored, select, lists(select), hashes)
    console.print(
        f"{len(data.graded)} labelled lists, {len(anchored)} anchor lists, "
        f"{len(data.select)} queries to choose on"
    )
    return data


def _anchor_targets(
    recipe: TrainingRecipe, sources: Sources, folder: Path, out: Path, console: Console
) -> tuple[Sequence[TargetList], str]:
    settings = recipe.anchor
    if settings is None or sources.queries is None or not sources.catalogues:
        raise ConfigError("the recipe has an anchor: give --catalogue and --queries")
    try:
        lines = sources.queries.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise ConfigError(f"{sources.queries}: {error.strerror or error}") from error
    queries = [line.strip() for line in lines if line.strip()]
    if not queries:
        raise ConfigError(f"{sources.queries}: holds no query; give one a line")
    products = [row for path in sources.catalogues for row in BeirFolder(path).products().values()]
    console.print(f"anchor: vectors of {len(queries)} queries and {len(products)} titles")
    # By the first field: on long texts the bi-encoder's order is no better (docs/LOG.md).
    titles = [str(row.get(recipe.text.fields[0], "")) for row in products]
    vectors = anchor.encode(folder, queries, out), anchor.encode(folder, titles, out)
    targets = anchor.anchor_lists(
        queries,
        products,
        vectors,
        recipe=recipe.text,
        list_products=settings.list_products,
        scale=settings.scale,
        random=np.random.default_rng(recipe.seed),
    )
    return targets, hash_json([queries, products])
