"""Stage 7: teacher, student and floor side by side, with runs that can be read again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from distillation.calibration import Platt, quality
from distillation.fitting import load_best
from distillation.pipeline.calibrate import pairs_of
from distillation.pipeline.recipe import Recipe
from distillation.pipeline.split import Material
from distillation.pipeline.stage import Finished
from distillation.pipeline.student import SELECT
from distillation.ranking import UNREADABLE, Ask, Run, network_run, teacher_run, token_lists, values
from distillation.report.page import write_page
from distillation.student import Student, text_encoder
from distillation.teachers.contract import Teacher
from distillation.teachers.cosine import CosineTeacher
from rerank_core.artifact import named_folder
from rerank_core.measures import bootstrap, paired_test, read_run, write_run


def do_evaluate(
    recipe: Recipe,
    material: Material,
    done: Mapping[str, Finished],
    teacher: Teacher | None,
    ask: Ask,
    folder: Path,
    show: Console,
) -> dict[str, Any]:
    """Runs, measures, paired tests and the page; dev-report only where the recipe opens it.

    `ask` has the teacher's answers.
    """
    rankers = ["cosine", "student"] + ["teacher"] * (teacher is not None)
    facts: dict[str, Any] = {}
    for role in ("select", "report") if recipe.report else ("select",):
        judged = material.judgments(role)
        if not judged:
            continue
        show.print(f"{role}: {len(judged)} queries", highlight=False)
        runs = {name: _run(name, role, recipe, material, done, teacher, ask) for name in rankers}
        if teacher is not None and _is_silent(runs["teacher"]):  # a file of the pool alone
            show.print(f"{role}: the teacher has no answer to any pair, it is left out")
            del runs["teacher"]
        for name, run in runs.items():
            write_run(run, folder / f"{role}.{name}.trec", tag=name)
        facts[role] = compare_by_set(judged, runs, material.sets)
        if "calibrate" in done:
            line = Platt(done["calibrate"].facts["slope"], done["calibrate"].facts["intercept"])
            facts[role]["calibration"] = _calibration(judged, runs["student"], line, material.sets)
        write_page(recipe, material, done, role, judged, runs, facts[role], folder)
    return facts


def _is_silent(run: Run) -> bool:
    return all(score == UNREADABLE for rows in run.values() for score in rows.values())


def student_run(recipe: Recipe, material: Material, stage: Finished, role: str) -> Run:
    """The student's float32 scores of a role's judged products."""
    base = named_folder(recipe.student.base)
    network = Student(base, layers=recipe.student.layers)
    load_best(network, stage.folder)
    judged = material.judgments(role)
    encoder = text_encoder(base, recipe.student.text)
    lists = token_lists(judged, material.queries, material.products, encoder)
    return network_run(network, judged, lists, bfloat16=False)


def _run(
    name: str,
    role: str,
    recipe: Recipe,
    material: Material,
    done: Mapping[str, Finished],
    teacher: Teacher | None,
    ask: Ask,
) -> Run:
    if name == "student":
        if role == "select":
            return read_run(done["student"].folder / SELECT)
        return student_run(recipe, material, done["student"], role)
    if name == "teacher" and teacher is not None:
        if role == "select":
            return read_run(done["teacher"].folder / SELECT)
        judged = material.judgments(role)
        return teacher_run(teacher, judged, material.queries, material.products, ask)
    floor = CosineTeacher("minilm", recipe.student.text)
    return teacher_run(floor, material.judgments(role), material.queries, material.products)


def compare_by_set(
    judged: Mapping[str, Mapping[str, float]], runs: Mapping[str, Run], sets: list[str]
) -> dict[str, Any]:
    """Set to ranker to measure to interval, and the student's paired tests against the others."""
    found: dict[str, Any] = {}
    for one in sets:
        part = {query: rows for query, rows in judged.items() if query.startswith(f"{one}/")}
        if not part:
            continue
        measured = {
            name: values(part, {query: run[query] for query in part}) for name, run in runs.items()
        }
        found[one] = {
            "queries": len(part),
            "means": {
                name: {measure: asdict(bootstrap(v)) for measure, v in by_measure.items()}
                for name, by_measure in measured.items()
            },
            "student_against": {
                name: {
                    measure: asdict(paired_test(measured["student"][measure], v))
                    for measure, v in by_measure.items()
                }
                for name, by_measure in measured.items()
                if name != "student"
            },
        }
    return found


def _calibration(
    judged: Mapping[str, Mapping[str, float]], run: Run, line: Platt, sets: list[str]
) -> dict[str, Any]:
    found = {}
    for one in sets:
        part = {query: rows for query, rows in judged.items() if query.startswith(f"{one}/")}
        if part:
            logits, shares, _ = pairs_of(part, run)
            found[one] = asdict(quality(line(np.asarray(logits, np.float64)), shares))
    return found
