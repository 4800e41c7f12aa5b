"""Units of a plan: which are done, and the runs they leave, which outlive their stages."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from distillation.pipeline import run as pipeline
from distillation.pipeline import teacher as teachers
from distillation.pipeline.evaluate import student_run
from distillation.pipeline.recipe import Recipe, read_recipe
from distillation.pipeline.split import Material, fingerprint
from distillation.pipeline.stage import Finished
from distillation.ranking import Run, asked_directly, teacher_run
from distillation.study.plan import ROLES, Plan, Role
from distillation.study.shelf import Shelf
from distillation.teachers.cosine import CosineTeacher
from rerank_core import records
from rerank_core.errors import ConfigError
from rerank_core.hashing import hash_json
from rerank_core.measures import read_run

TEACHER, COSINE = "teacher", "cosine"


@dataclass(frozen=True)
class Unit:
    """One arm at one seed."""

    arm: str
    seed: int
    recipe: Recipe

    @property
    def name(self) -> str:
        """As its files are called."""
        return f"{self.arm}-{self.seed}"


def units(plan: Plan, path: Path) -> Iterator[Unit]:
    """Seed by seed, so that a study that is cut off has whole rows. Raises `ConfigError`."""
    for seed in sorted({seed for arm in plan.arms for seed in arm.seeds}):
        for arm in plan.arms:
            if seed in arm.seeds:
                changes = (*arm.changes, f"student.seed={seed}")
                recipe = read_recipe(path.parent / arm.recipe, changes)
                if recipe.soup:  # whose seeds are its own
                    raise ConfigError(f"{path}: arm {arm.name} is a soup, which has no one seed")
                yield Unit(arm.name, seed, recipe)


def teacher_recipe(plan: Plan, path: Path) -> Recipe:
    """The recipe whose teacher is the one to pass. Raises `ConfigError`."""
    return read_recipe(path.parent / plan.teacher)


def decided_by(recipe: Recipe, data: Path, *, only_teacher: bool = False) -> str:
    """Hash of what decides a unit's runs: its settings up to the student, and the data.

    The weights that a base's name stands for are not in it; the unit's record tells them.
    """
    settings = records.to_json(recipe)
    later = ("pool", "labels", "student") if only_teacher else ()
    for name in ("name", "publish", "report", "soup", *later):  # no unit is a soup
        del settings[name]
    if not only_teacher and recipe.student.learns == "human":
        for name in ("teacher", "pool", "labels"):
            del settings[name]
    return hash_json([settings, fingerprint(recipe.split, data)])


def do_unit(unit: Unit, place: pipeline.Place, shelf: Shelf, show: Console) -> None:
    """Trains the unit where its runs are not kept yet, and keeps them.

    Of dev-report its scores alone are kept; nothing here reads what they are worth. Raises
    `ConfigError` where the teacher of the kept runs had other weights by the same names.
    """
    decided = decided_by(unit.recipe, place.data)
    if shelf.holds(unit.name, decided):
        show.print(f"[dim]{unit.name}: kept before[/]", highlight=False)
        return
    show.print(f"[bold]{unit.name}[/]", highlight=False)
    if unit.recipe.student.learns != "human":  # looked at before labels and training cost hours
        taught = pipeline.run(unit.recipe, place, show, until="teacher")["teacher"]
        settings = decided_by(unit.recipe, place.data, only_teacher=True)
        shelf.check_teacher(settings, taught.folder.name, unit.name)
    done = pipeline.run(unit.recipe, place, show, until="student")
    material = Material(done["split"], place.data)
    runs = {role: student_run(unit.recipe, material, done["student"], role) for role in ROLES}
    shelf.keep(unit.name, decided, runs, _facts(done))


def do_teacher(recipe: Recipe, place: pipeline.Place, shelf: Shelf, show: Console) -> None:
    """Keeps the runs of the teacher and of the floor, as `do_unit` does."""
    decided = decided_by(recipe, place.data, only_teacher=True)
    if shelf.holds(TEACHER, decided) and shelf.holds(COSINE, decided):
        return
    done = pipeline.run(recipe, place, show, until="teacher")
    material = Material(done["split"], place.data)
    teacher = pipeline.teacher_of(recipe, place, done["teacher"])
    # Under the cap, and kept: what a kill leaves is not asked again.
    asks = {TEACHER: pipeline.labelling_of(recipe, place, show).answers, COSINE: asked_directly}
    floor = CosineTeacher("minilm", recipe.student.text)
    for name, one in ((TEACHER, teacher), (COSINE, floor)):
        runs: dict[Role, Run] = {}
        for role in ROLES:
            if name == TEACHER and role == "select":  # its stage has looked already
                runs[role] = read_run(done["teacher"].folder / teachers.SELECT)
                continue
            judged = material.judgments(role)
            runs[role] = teacher_run(one, judged, material.queries, material.products, asks[name])
        shelf.keep(name, decided, runs, _facts(done))


def material_of(recipe: Recipe, place: pipeline.Place) -> Material:
    """Queries, products and judgments as the units of a plan see them."""
    split = pipeline.run(recipe, place, Console(quiet=True), until="split")["split"]
    return Material(split, place.data)


def check_one_split(plan: Plan, path: Path) -> None:
    """Raises `ConfigError` where two arms are measured on different queries."""
    splits = {hash_json(records.to_json(unit.recipe.split)) for unit in units(plan, path)}
    splits.add(hash_json(records.to_json(teacher_recipe(plan, path).split)))
    if len(splits) > 1:
        raise ConfigError(f"{path}: its recipes split the data in {len(splits)} ways; give one")


def _facts(done: dict[str, Finished]) -> dict[str, Any]:
    return {
        name: {
            "folder": one.folder.name,
            "facts": one.facts,
            "seconds": one.manifest["seconds"],
            "inputs": one.manifest["inputs"],
            "environment": one.manifest["environment"],
        }
        for name, one in done.items()
        if name != "split"
    }
