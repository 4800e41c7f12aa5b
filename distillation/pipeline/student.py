"""Stage 5: the student, trained on labels or on judgments."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console

from distillation.fitting import BEST, best_point, fit, load_best, pairs_read
from distillation.pipeline.labels import read_labels
from distillation.pipeline.recipe import Student as Settings
from distillation.pipeline.split import Material
from distillation.pipeline.stage import Finished
from distillation.pipeline.teacher import by_set, choosing
from distillation.precision import in_bfloat16
from distillation.ranking import measure_on, network_run, token_lists
from distillation.student import Student, text_encoder
from rerank_core.artifact import named_folder
from rerank_core.errors import ConfigError
from rerank_core.measures import write_run

SELECT = "select.trec"


def do_student(
    settings: Settings,
    material: Material,
    labels: Finished | None,
    folder: Path,
    key: str,
    show: Console,
) -> dict[str, Any]:
    """Trains and keeps the best weights by dev-select; writes the run on select in float32."""
    base = named_folder(settings.base)
    encoder = text_encoder(base, settings.text)
    torch.manual_seed(settings.seed)
    network = Student(base, layers=settings.layers, dropout=settings.fit.dropout)
    queries, products = material.queries, material.products
    chosen = choosing(material)
    bfloat16 = in_bfloat16(settings.fit.precision)
    measure = measure_on(chosen, token_lists(chosen, queries, products, encoder), bfloat16=bfloat16)
    targets = _targets(settings, material, labels)
    lists = token_lists(targets, queries, products, encoder)
    curve = fit(
        network, settings.fit, lists, folder,
        seed=settings.seed, identity=key, measure=measure, show=show,
    )  # fmt: skip
    facts: dict[str, Any] = {
        "lists": len(lists),
        "pairs": sum(len(one.tokens) for one in lists),
        "pairs_read": pairs_read(lists, settings.fit, settings.seed),
        "curve": curve,
    }
    load_best(network, folder)
    if settings.human is not None:
        human = token_lists(material.judgments("human"), queries, products, encoder)
        tuned = folder / "human"
        tuned.mkdir(exist_ok=True)
        facts["human_curve"] = fit(
            network, settings.human, human, tuned,
            seed=settings.seed, identity=key, measure=measure, show=show,
        )  # fmt: skip
        load_best(network, tuned)
        shutil.copy(tuned / BEST, folder / BEST)  # a run killed just now needs both
    facts["best"] = best_point(facts.get("human_curve", curve))
    select = material.judgments("select")
    lists = token_lists(select, queries, products, encoder)
    run = network_run(network, select, lists, bfloat16=False)
    write_run(run, folder / SELECT, tag="student")
    facts["select"] = by_set(select, run, material.sets)
    return facts


def _targets(
    settings: Settings, material: Material, labels: Finished | None
) -> Mapping[str, Mapping[str, float]]:
    if settings.learns == "human":
        return material.judgments("human")
    if labels is None:
        raise ConfigError("student: learns from labels, and there are none")
    found = read_labels(labels, settings.pairs)
    if settings.learns == "labels":
        return found
    random = np.random.default_rng(settings.seed)
    return {
        query: dict(zip(rows, random.permutation(list(rows.values())).tolist(), strict=True))
        for query, rows in found.items()
    }
