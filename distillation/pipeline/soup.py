"""Stage 5, where there are several students: one network, the mean of their weights."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from distillation.fitting import BEST, CHOOSES, load_best
from distillation.pipeline.recipe import Student as Settings
from distillation.pipeline.split import Material
from distillation.pipeline.stage import Finished
from distillation.pipeline.student import SELECT
from distillation.pipeline.teacher import by_set, choosing
from distillation.ranking import measure_on, network_run, token_lists
from distillation.student import Student, text_encoder
from rerank_core.artifact import named_folder
from rerank_core.measures import write_run


def do_soup(
    settings: Settings,
    material: Material,
    students: Sequence[Finished],
    weights: Sequence[float],
    folder: Path,
) -> dict[str, Any]:
    """Writes what `do_student` writes, of the weighted mean of the students' weights.

    Students that began from one network end in one basin, where their mean often ranks better than
    each, at the cost of one: model soups, Wortsman et al. 2022, arXiv:2203.05482.
    """
    total = sum(weights)
    mean: dict[str, torch.Tensor] = {}
    for student, weight in zip(students, weights, strict=True):
        for name, values in torch.load(student.folder / BEST, weights_only=True).items():
            part = values.double() * (weight / total)
            mean[name] = mean[name] + part if name in mean else part
    torch.save({name: values.float() for name, values in mean.items()}, folder / BEST)

    base = named_folder(settings.base)
    encoder = text_encoder(base, settings.text)
    network = Student(base, layers=settings.layers)
    load_best(network, folder)
    queries, products = material.queries, material.products
    chosen = choosing(material)
    lists = token_lists(chosen, queries, products, encoder)
    measured = measure_on(chosen, lists, bfloat16=False)(network)
    select = material.judgments("select")
    lists = token_lists(select, queries, products, encoder)
    run = network_run(network, select, lists, bfloat16=False)
    write_run(run, folder / SELECT, tag="student")
    first = students[0].facts
    return {
        "lists": first["lists"],
        "pairs": first["pairs"],
        "of": {one.folder.name: one.facts["best"][CHOOSES] for one in students},
        "best": {"step": float(sum(one.facts["best"]["step"] for one in students)), **measured},
        "select": by_set(select, run, material.sets),
    }
