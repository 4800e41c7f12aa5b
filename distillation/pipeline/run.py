"""The whole recipe, from top to bottom."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal

from rich.console import Console

from distillation.labels.labelling import Labelling
from distillation.labels.store import LabelStore
from distillation.pipeline import members
from distillation.pipeline import teacher as teachers
from distillation.pipeline.calibrate import do_calibrate
from distillation.pipeline.evaluate import do_evaluate
from distillation.pipeline.labels import do_labels
from distillation.pipeline.pool import do_pool, require_cluster
from distillation.pipeline.publish import do_publish
from distillation.pipeline.recipe import Pool, Recipe, Student
from distillation.pipeline.soup import do_soup
from distillation.pipeline.split import Material, do_split, fingerprint
from distillation.pipeline.stage import Finished, Order, do, is_done, open_stage, write_json
from distillation.pipeline.student import do_student
from distillation.teachers.contract import Teacher
from rerank_core import records
from rerank_core.artifact import named_folder, open_named
from rerank_core.cluster.settings import ClusterSettings
from rerank_core.errors import ConfigError
from rerank_core.hashing import hash_json

Stage = Literal["split", "teacher", "pool", "labels", "student", "calibrate", "evaluate", "publish"]
STAGES: tuple[Stage, ...] = (
    "split", "teacher", "pool", "labels", "student", "calibrate", "evaluate", "publish",
)  # fmt: skip


@dataclass(frozen=True)
class Place:
    """Where a run reads and writes."""

    data: Path
    """Folder that holds the sources."""
    out: Path
    """Folder of stages; recipes may share it."""
    cluster: ClusterSettings | None = None
    """For BM25."""
    beside: Path = Path()
    """Folder of the recipe, where the files that it names lie."""
    only_done: bool = False
    """Look up stages, do none."""
    force: bool = False
    """Publish a student that is worse than the one shipped."""

    def do(
        self, order: Order, work: Callable[[Path], Mapping[str, Any]], show: Console
    ) -> Finished:
        """The stage under `out`; raises as `stage.do`."""
        return do(order, self.out, work, show, only_done=self.only_done)


def run(
    recipe: Recipe, place: Place, show: Console, *, until: Stage = "publish"
) -> dict[str, Finished]:
    """Does every stage up to `until` that is not done before; returns the stages by name.

    Judgments alone need no teacher, pool or labels: a student that learns from them goes without.
    """
    place.out.mkdir(parents=True, exist_ok=True)
    done: dict[str, Finished] = {}
    material = Material(_split(recipe, place, done, show), place.data)
    human = recipe.student.learns == "human"
    last = STAGES.index(until)
    if last >= STAGES.index("pool") and not human:
        foresee_pool(recipe, place, done)
    labelling = labelling_of(recipe, place, show)
    asking = {name: partial(stage, labelling=labelling) for name, stage in _ASKING.items()}
    stages = _SILENT | asking
    for name in STAGES[1:]:
        if STAGES.index(name) > last:
            break
        if human and name in _LABELLING and until not in _LABELLING:
            continue
        done[name] = stages[name](recipe, place, material, done, show)
    if place.only_done:
        return done
    folders = {name: one.folder.name for name, one in done.items()}
    record = {"recipe": records.to_json(recipe), "stages": folders}
    write_json(place.out / f"{recipe.name}-{hash_json(record)[:8]}.json", record)
    return done


_LABELLING = ("teacher", "pool", "labels")
STORE = "label-store"
"""One for all teachers of an output folder: none is asked a pair twice."""


def labelling_of(recipe: Recipe, place: Place, show: Console) -> Labelling:
    """What a run may ask of teachers: the cap is over all its stages."""
    labels = recipe.labels
    return Labelling(LabelStore(place.out / STORE), chunk=labels.chunk, cap=labels.cap, show=show)


def _split(recipe: Recipe, place: Place, done: dict[str, Finished], show: Console) -> Finished:
    files = fingerprint(recipe.split, place.data)
    table = records.to_json(recipe.split)
    for source in table["sources"]:
        if not source["held_out"]:  # 0 says what its absence says: folders keep their names
            del source["held_out"]
    settings = {"split": table, "data": files}
    order = Order("split", settings, {})
    done["split"] = place.do(order, lambda folder: do_split(recipe.split, place.data, folder), show)
    return done["split"]


def _teacher(
    recipe: Recipe,
    place: Place,
    material: Material,
    done: dict[str, Finished],
    show: Console,
    labelling: Labelling,
) -> Finished:
    found = []
    for member in recipe.teacher.members:
        order = member_order(member, place, done)

        def work(folder: Path, member: Any = member, key: str = order.key) -> dict[str, Any]:
            return teachers.do_member(member, material, folder, key, show, labelling.answers)

        found.append(place.do(order, work, show))
    inputs = {f"member {number}": one for number, one in enumerate(found)}
    return place.do(
        Order("teacher", {}, {"split": done["split"]} | inputs),
        lambda folder: teachers.do_teacher(found, material, folder),
        show,
    )


def member_order(member: members.Member, place: Place, done: Mapping[str, Finished]) -> Order:
    """The stage of one member of the teacher. Raises `ConfigError` where its base is not there."""
    settings = records.to_json(member) | teachers.content_of(member, place.data)
    return Order("member", settings, {"split": done["split"]})


def teacher_of(recipe: Recipe, place: Place, teacher: Finished) -> Teacher:
    """A finished teacher, ready to be asked; of the members' stages that it was made of."""
    folders = [one["folder"] for name, one in teacher.manifest["inputs"].items() if name != "split"]
    stages = [
        open_stage(teacher.folder.parent / folder)
        for folder in folders[: len(recipe.teacher.members)]
    ]
    return teachers.open_teacher(recipe.teacher, teacher, stages, place.data)


def pool_stage(
    recipe: Recipe, place: Place, material: Material, done: dict[str, Finished], show: Console
) -> Finished:
    """Mines the pool, where that is not done; of the stages before, the split alone decides it."""
    return place.do(
        _pool_order(recipe, done),
        lambda folder: do_pool(recipe.pool, material, place.cluster, folder, show),
        show,
    )


def _pool_order(recipe: Recipe, done: Mapping[str, Finished]) -> Order:
    return Order("pool", _on_base(recipe.pool), {"split": done["split"]})


def foresee_pool(recipe: Recipe, place: Place, done: Mapping[str, Finished]) -> None:
    """What the pool lacks is said before the teacher trains, where it is still to be mined."""
    if not place.only_done and not is_done(_pool_order(recipe, done), place.out):
        require_cluster(recipe.pool, place.cluster)


def _labels(
    recipe: Recipe,
    place: Place,
    material: Material,
    done: dict[str, Finished],
    show: Console,
    labelling: Labelling,
) -> Finished:
    def work(folder: Path) -> dict[str, Any]:
        teacher = teacher_of(recipe, place, done["teacher"])
        return do_labels(recipe.labels, done["pool"], teacher, material, labelling, folder, show)

    inputs = {name: done[name] for name in ("split", "teacher", "pool")}
    # Neither the cap nor the size of a shard decides a label.
    return place.do(Order("labels", {"pairs": recipe.labels.pairs}, inputs), work, show)


def _on_base(settings: Pool | Student) -> dict[str, Any]:
    """With the weights that the name of the base stands for."""
    weights = teachers.hash_weights(named_folder(settings.base))
    return {**records.to_json(settings), "base_weights": weights}


def _student(
    recipe: Recipe, place: Place, material: Material, done: dict[str, Finished], show: Console
) -> Finished:
    if not recipe.soup:
        return _one_student(recipe.student, place, material, done, show)
    parts = []
    for one in recipe.soup:
        training = replace(recipe.student.fit, steps=one.steps, evaluations=one.evaluations)
        settings = replace(recipe.student, seed=one.seed, fit=training)
        parts.append(_one_student(settings, place, material, done, show))
    steps = [one.steps for one in recipe.soup]
    inputs = {f"student {number}": one for number, one in enumerate(parts)}
    return place.do(
        Order("soup", {"weights": steps}, {"split": done["split"]} | inputs),
        lambda folder: do_soup(recipe.student, material, parts, steps, folder),
        show,
    )


def _one_student(
    settings: Student, place: Place, material: Material, done: dict[str, Finished], show: Console
) -> Finished:
    inputs: dict[str, Finished] = {n: done[n] for n in ("split", "labels") if n in done}
    order = Order("student", _on_base(settings), inputs)
    return place.do(
        order,
        lambda folder: do_student(settings, material, done.get("labels"), folder, order.key, show),
        show,
    )


def _calibrate(
    recipe: Recipe, place: Place, material: Material, done: dict[str, Finished], show: Console
) -> Finished:
    del recipe
    order = Order("calibrate", {}, {"split": done["split"], "student": done["student"]})
    return place.do(
        order,
        lambda folder: do_calibrate(done["student"], material, folder),
        show,
    )


def _evaluate(
    recipe: Recipe,
    place: Place,
    material: Material,
    done: dict[str, Finished],
    show: Console,
    labelling: Labelling,
) -> Finished:
    def work(folder: Path) -> dict[str, Any]:
        teacher = teacher_of(recipe, place, done["teacher"]) if "teacher" in done else None
        return do_evaluate(recipe, material, done, teacher, labelling.answers, folder, show)

    settings = {"report": recipe.report, "student": records.to_json(recipe.student)}
    order = Order("evaluate", settings, dict(done))
    return place.do(order, work, show)


def _publish(
    recipe: Recipe, place: Place, material: Material, done: dict[str, Finished], show: Console
) -> Finished:
    if recipe.publish is None:
        raise ConfigError("publish: the recipe has no [publish]; give --until evaluate")
    settings = records.to_json(recipe.publish)
    if recipe.publish.shipped:  # by its name another is shipped tomorrow
        settings["shipped_hash"] = open_named(recipe.publish.shipped).manifest.model_hash
    order = Order("publish", settings, dict(done))
    return place.do(
        order,
        lambda folder: do_publish(
            recipe, place.beside, material, done, folder, show, force=place.force
        ),
        show,
    )


_SILENT = {
    "pool": pool_stage, "student": _student, "calibrate": _calibrate, "publish": _publish,
}  # fmt: skip
_ASKING = {"teacher": _teacher, "labels": _labels, "evaluate": _evaluate}
"""These ask teachers."""
