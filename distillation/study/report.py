"""The study's page: what ran, what each arm is worth, which claims held."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from distillation.pipeline import run as pipeline
from distillation.pipeline.split import Material
from distillation.pipeline.stage import write_json
from distillation.ranking import Run, values
from distillation.report.plots import against, scale_curve
from distillation.study.claims import Claim, claims, control, mean_over_seeds, qualification
from distillation.study.grid import (
    COSINE,
    TEACHER,
    decided_by,
    material_of,
    teacher_recipe,
    units,
)
from distillation.study.plan import Plan, Role
from distillation.study.shelf import Shelf
from rerank_core.errors import ConfigError
from rerank_core.measures import Judgments, bootstrap, paired_test

Measured = dict[str, dict[str, dict[str, float]]]
"""Arm to measure to query to value, means over seeds."""


def report(plan: Plan, path: Path, place: pipeline.Place, role: Role, folder: Path) -> list[str]:
    """Writes ``<plan>.<role>.json`` and a page beside it; returns the units not run yet.

    Reads the runs that are kept, no stage. Raises `ConfigError` where no unit has run, or the
    teacher's runs are not kept, or dev-report would be opened before all units have run.
    """
    shelf = Shelf(folder / "runs" / plan.name)
    recipe = teacher_recipe(plan, path)
    decided = decided_by(recipe, place.data, only_teacher=True)
    if not all(shelf.holds(name, decided) for name in (TEACHER, COSINE)):
        raise ConfigError(f"{path}: the teacher's runs are not kept; see `study --run all`")
    kept: dict[str, list[str]] = {name: [name] for name in (TEACHER, COSINE)}
    missing: list[str] = []
    for unit in units(plan, path):
        if shelf.holds(unit.name, decided_by(unit.recipe, place.data)):
            kept.setdefault(unit.arm, []).append(unit.name)
        else:
            missing.append(f"{unit.arm} seed {unit.seed}")
    if missing and role == "report":
        raise ConfigError(
            f"{path}: dev-report is opened once, when the grid is whole; not run yet: "
            f"{', '.join(missing)}"
        )
    if len(kept) == 2:
        raise ConfigError(f"{path}: no unit has run; see `study --run all`")
    found = _read(shelf, kept, role)
    material = material_of(recipe, place)
    judged = material.judgments(role)
    content: dict[str, Any] = {"plan": plan.name, "role": role, "missing": missing, "sets": {}}
    for name in material.sets:
        part = {q: rows for q, rows in judged.items() if q.startswith(f"{name}/")}
        if not part:
            continue
        measured = _measured(part, found)
        content["sets"][name] = _summary(measured, kept, len(part))
        if name == plan.decides:
            content["claims"] = [_claim(one) for one in _claims(plan, measured)]
            content["teacher"] = _qualification(plan, _on_select(material, shelf, kept, name))
            content["control"] = _control(plan, measured)
            _plots(plan, measured, folder, role)
    write_json(folder / f"{plan.name}.{role}.json", content)
    (folder / f"{plan.name}.{role}.md").write_text(_page(plan, role, content), encoding="utf-8")
    return missing


def _measured(part: Judgments, found: Mapping[str, Sequence[Run]]) -> Measured:
    measured: Measured = {}
    for arm, runs in found.items():
        each = [values(part, {q: run[q] for q in part}) for run in runs]
        measured[arm] = {
            measure: mean_over_seeds([one[measure] for one in each]) for measure in each[0]
        }
    return measured


def _read(shelf: Shelf, kept: Mapping[str, list[str]], role: Role) -> dict[str, list[Run]]:
    return {arm: [shelf.read(name, role) for name in names] for arm, names in kept.items()}


def _on_select(
    material: Material, shelf: Shelf, kept: Mapping[str, list[str]], name: str
) -> Measured:
    """On the half that choices are made on."""
    judged = material.judgments("select")
    part = {q: rows for q, rows in judged.items() if q.startswith(f"{name}/")}
    return _measured(part, _read(shelf, kept, "select"))


def _qualification(plan: Plan, chosen: Measured) -> dict[str, Any] | None:
    if plan.human not in chosen:
        return None
    teacher, floor, human = (chosen[name]["nDCG@10"] for name in (TEACHER, COSINE, plan.human))
    found = qualification(teacher, floor, human)
    return {**asdict(found), "passed": found.passed}


def _control(plan: Plan, measured: Measured) -> dict[str, Any] | None:
    curve = _curve(plan, measured)
    names = [arm.name for arm in plan.arms if arm.control and arm.name in measured]
    if not curve or not names:
        return None
    return asdict(control(curve[max(curve)], measured[names[0]]["nDCG@10"]))


def _claims(plan: Plan, measured: Measured) -> list[Claim]:
    curve = _curve(plan, measured)
    if len(curve) < 2 or plan.human not in measured:
        return []
    human = measured[plan.human]["nDCG@10"]
    return claims(measured["teacher"]["nDCG@10"], human, curve)


def _curve(plan: Plan, measured: Measured) -> dict[int, dict[str, float]]:
    return {
        arm.labels: measured[arm.name]["nDCG@10"]
        for arm in plan.arms
        if arm.labels is not None and arm.name in measured
    }


def _summary(measured: Measured, kept: Mapping[str, list[str]], queries: int) -> dict[str, Any]:
    arms = {}
    for name, by_measure in measured.items():
        arms[name] = {
            "seeds": len(kept[name]),
            "means": {measure: asdict(bootstrap(v)) for measure, v in by_measure.items()},
            "against": {
                other: asdict(paired_test(by_measure["nDCG@10"], measured[other]["nDCG@10"]))
                for other in ("cosine", "teacher")
                if other != name
            },
        }
    return {"queries": queries, "arms": arms}


def _claim(one: Claim) -> dict[str, Any]:
    return {**asdict(one), "holds": one.holds}


def _plots(plan: Plan, measured: Measured, folder: Path, role: Role) -> None:
    curve = _curve(plan, measured)
    if not curve:
        return
    sizes = sorted(curve)
    levels = {
        label: bootstrap(measured[name]["nDCG@10"]).mean
        for label, name in (("teacher", "teacher"), ("cosine", "cosine"), ("A", plan.human))
        if name in measured
    }
    intervals = [bootstrap(curve[size]) for size in sizes]
    path = folder / f"{plan.name}.{role}.scale.png"
    scale_curve(sizes, intervals, levels, path, unit="pairs that the teacher labelled")
    largest, teacher = curve[sizes[-1]], measured["teacher"]["nDCG@10"]
    path = folder / f"{plan.name}.{role}.queries.png"
    against(largest, teacher, (f"student, {sizes[-1]:,} labels", "teacher"), path)


def _page(plan: Plan, role: Role, content: Mapping[str, Any]) -> str:
    lines = [f"# The {plan.name} setting on dev-{role}", ""]
    lines += ["Per-query means over seeds; mean over queries with its 95 % bootstrap interval;"]
    lines += ["differences in nDCG@10 with p from 10,000 sign flips, two-sided.", ""]
    if content["missing"]:
        lines += [f"Not run yet: {', '.join(content['missing'])}.", ""]
    if content.get("claims"):
        lines += ["| claim | effect | p | p (Holm) | verdict |", "|---|---|---|---|---|"]
        for one in content["claims"]:
            verdict = "holds" if one["holds"] else "did not hold"
            if role == "select":  # checkpoints were chosen here
                verdict = "no verdict on dev-select"
            elif not (content["teacher"] or {}).get("passed"):
                verdict = "void: the teacher does not qualify"
            cells = [f"{one['name']}: {one['text']}", _difference(one["test"])]
            cells += [f"{one['test']['p_value']:.4f}", f"{one['adjusted_p']:.4f}", verdict]
            lines.append(f"| {' | '.join(cells)} |")
        lines += ["", *_rules(content), f"![scale]({plan.name}.{role}.scale.png)", ""]
        lines += [f"![queries]({plan.name}.{role}.queries.png)", ""]
    for name, one in content["sets"].items():
        lines += [f"## {name}, {one['queries']} queries", ""]
        lines += ["| arm | seeds | nDCG@10 | pairwise accuracy | Spearman | -cosine | p | -T | p |"]
        lines += ["|---|---|---|---|---|---|---|---|---|"]
        for arm, found in one["arms"].items():
            cells = [arm, str(found["seeds"])]
            for m in found["means"].values():
                cells.append(f"{m['mean']:.4f} [{m['low']:.4f}, {m['high']:.4f}]")
            for other in ("cosine", "teacher"):
                test = found["against"].get(other)
                cells += ["", ""] if test is None else [_difference(test), f"{test['p_value']:.3f}"]
            lines.append(f"| {' | '.join(cells)} |")
        lines.append("")
    return "\n".join(lines)


def _rules(content: Mapping[str, Any]) -> list[str]:
    """What the claims stand on: the teacher's qualification, and the control."""
    lines = []
    if teacher := content["teacher"]:
        verdict = "qualifies" if teacher["passed"] else "does not qualify, so the claims are void"
        tests = [
            f"{_difference(teacher[key])} (p {teacher[key]['p_value']:.4f}) over {name}"
            for key, name in (("over_floor", "the cosine"), ("over_human", "A"))
        ]
        lines += [f"Rule 1, on dev-select: the teacher {verdict}: {', '.join(tests)}.", ""]
    if found := content["control"]:
        told = f"{_difference(found)} (p {found['p_value']:.4f})"
        lines += [f"Control: the largest C over the same labels shuffled within lists: {told}.", ""]
    return lines


def _difference(test: Mapping[str, Any]) -> str:
    d = test["difference"]
    return f"{d['mean']:+.4f} [{d['low']:+.4f}, {d['high']:+.4f}]"
