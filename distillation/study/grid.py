"""Which units of a plan are done, and their runs."""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from rich.console import Console

from distillation.pipeline import run as pipeline
from distillation.pipeline import teacher as teachers
from distillation.pipeline.evaluate import student_run
from distillation.pipeline.recipe import Recipe, read_recipe
from distillation.pipeline.split import Material
from distillation.pipeline.stage import Finished
from distillation.pipeline.student import SELECT
from distillation.ranking import Run, teacher_run
from distillation.study.plan import Arm, Plan, Role
from distillation.teachers.cosine import CosineTeacher
from rerank_core.errors import NotFoundError
from rerank_core.measures import read_run, write_run


def recipe_of(plan: Path, arm: Arm, seed: int) -> Recipe:
    """The recipe of one unit."""
    return read_recipe(plan.parent / arm.recipe, (*arm.changes, f"student.seed={seed}"))


def units(plan: Plan) -> Iterator[tuple[Arm, int]]:
    """Arms and seeds, seed by seed, so that a study that is cut off has whole rows."""
    for seed in sorted({seed for arm in plan.arms for seed in arm.seeds}):
        for arm in plan.arms:
            if seed in arm.seeds:
                yield arm, seed


def find(
    path: Path, arm: Arm, seed: int, place: pipeline.Place, show: Console
) -> dict[str, Finished] | None:
    """The stages of a unit up to its student, or None where it has not run."""
    try:
        looking = replace(place, only_done=True)
        return pipeline.run(recipe_of(path, arm, seed), looking, show, until="student")
    except NotFoundError:
        return None


def unit_run(
    recipe: Recipe, done: dict[str, Finished], material: Material, role: Role, kept: Path
) -> Run:
    """The student's run on a role, kept as gzipped TREC."""
    if not kept.is_file():
        if role == "select":
            run = read_run(done["student"].folder / SELECT)
        else:
            run = student_run(recipe, material, done["student"], role)
        _keep(run, kept)
    return _read(kept)


def teacher_runs(
    recipe: Recipe,
    done: dict[str, Finished],
    material: Material,
    place: pipeline.Place,
    role: Role,
    kept: Path,
) -> dict[str, Run]:
    """The teacher's and the cosine's run on a role."""
    found: dict[str, Run] = {}
    for name in ("teacher", "cosine"):
        path = kept / f"{name}.{role}.trec.gz"
        if not path.is_file():
            if name == "teacher" and role == "select":
                _keep(read_run(done["teacher"].folder / teachers.SELECT), path)
                found[name] = _read(path)
                continue
            if name == "cosine":
                one = CosineTeacher("minilm", recipe.student.text)
            else:
                members = pipeline.members_of(recipe, done["teacher"])
                one = teachers.open_teacher(  # type: ignore[assignment]
                    recipe.teacher, done["teacher"], members, place.data
                )
            judged = material.judgments(role)
            _keep(teacher_run(one, judged, material.queries, material.products), path)
        found[name] = _read(path)
    return found


def _keep(run: Run, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    plain = path.with_suffix("")
    # Six digits order as well as sixteen, and are a third of the bytes.
    rounded = {q: {name: round(v, 6) for name, v in rows.items()} for q, rows in run.items()}
    write_run(rounded, plain, tag=path.name.split(".")[0])
    # No time of day in the header: equal runs are equal files.
    path.write_bytes(gzip.compress(plain.read_bytes(), mtime=0))
    plain.unlink()


def _read(path: Path) -> Run:
    plain = path.with_suffix(".reading")
    plain.write_bytes(gzip.decompress(path.read_bytes()))
    try:
        return read_run(plain)
    finally:
        plain.unlink()
