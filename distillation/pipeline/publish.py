"""Stage 8: a sealed model folder, behind a gate."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from string import Template
from typing import Any

import numpy as np
from rich.console import Console

from distillation import gate
from distillation.evaluation import cross_encoder_scorer, rank
from distillation.fitting import load_best
from distillation.pipeline.recipe import Publish, Recipe
from distillation.pipeline.split import Material
from distillation.pipeline.stage import Finished, lineage
from distillation.ranking import SHARES
from distillation.report.page import means_table
from distillation.student import Student
from rerank_core.artifact import (
    Artifact,
    Metric,
    ProbabilityCalibration,
    named_folder,
    open_named,
    seal_artifact,
)
from rerank_core.engine import CrossEncoder, Engine, load_cross_encoder, path_choice
from rerank_core.errors import ConfigError
from rerank_core.measures import ndcg

MODEL = "model"
_STAGED = "staged"
_TOKENIZER_FILES = ("tokenizer.json", "tokenizer_config.json")


def do_publish(
    recipe: Recipe,
    beside: Path,
    material: Material,
    done: Mapping[str, Finished],
    folder: Path,
    show: Console,
    *,
    force: bool,
) -> dict[str, Any]:
    """Writes `model/`, and holds integers against fp32 and the student against the one shipped.

    Raises `ConfigError` where either gate says no; the second can be forced.
    """
    terms = recipe.publish
    if terms is None:
        raise ConfigError("publish: the recipe has no [publish]")
    shutil.rmtree(folder / MODEL, ignore_errors=True)
    staged = folder / _STAGED
    shutil.rmtree(staged, ignore_errors=True)
    try:
        _write_weights(recipe, done["student"], staged)
        artifact = _seal(recipe, terms, done, staged)
        facts = _judge(artifact, terms, material, show, force=force)
        _write_texts(recipe, terms, beside, done, staged)
        staged.replace(folder / MODEL)
    finally:  # a refused student is no folder that can be served
        shutil.rmtree(staged, ignore_errors=True)
    return facts


def _judge(
    artifact: Artifact, terms: Publish, material: Material, show: Console, *, force: bool
) -> dict[str, Any]:
    """Raises `ConfigError` where a gate says no."""
    exact = load_cross_encoder(artifact, "onnxruntime")
    with Engine() as engine:
        gates = {
            path: _judge_path(path, exact, material, engine, terms.margin, show)
            for path in _served(artifact)
        }
        means = {"student": _means(exact, material, engine)}
        if terms.shipped:
            other = load_cross_encoder(open_named(terms.shipped), "onnxruntime")
            means["shipped"] = _means(other, material, engine)
    for path, verdicts in gates.items():
        deciding = [verdict for verdict in verdicts if verdict.ndcg.queries >= gate.ENOUGH]
        if not deciding:
            show.print(
                f"{path.numeric_path} is not decided upon: no set has {gate.ENOUGH} queries",
                highlight=False,
            )
        failed = [verdict.data for verdict in deciding if not verdict.ndcg.holds]
        if failed:
            raise ConfigError(
                f"publish: {path.numeric_path} is not shown to rank as fp32 does on {failed}; "
                "train longer, or serve this student on onnxruntime"
            )
    overall = {name: float(np.mean(list(one.values()))) for name, one in means.items()}
    if terms.shipped and overall["student"] < overall["shipped"] and not force:
        raise ConfigError(
            f"publish: dev-select nDCG@10, sets counting equally, is {overall['student']:.4f}, "
            f"below {overall['shipped']:.4f} of {terms.shipped}; --force publishes it all the same"
        )
    return {
        "model_hash": artifact.manifest.model_hash,
        "paths": [gate.record(path, verdicts) for path, verdicts in gates.items()],
        "select_ndcg": means,
        "mean_of_sets": overall,
        "forced": force,
    }


def _write_weights(recipe: Recipe, student: Finished, folder: Path) -> None:
    base = named_folder(recipe.student.base)
    network = Student(base, layers=recipe.student.layers)
    load_best(network, student.folder)
    inner = network.network
    inner.config.id2label, inner.config.label2id = {0: "relevance"}, {"relevance": 0}
    inner.half().save_pretrained(folder)
    for name in _TOKENIZER_FILES:
        shutil.copy(base / name, folder / name)


def _seal(recipe: Recipe, terms: Publish, done: Mapping[str, Finished], folder: Path) -> Artifact:
    line = done["calibrate"].facts
    found = done["evaluate"].facts
    role = "report" if "report" in found else "select"
    metrics = tuple(
        Metric(measure, f"{name} dev-{role}", "judged list", round(mean["mean"], 5), one["queries"])
        for name, one in found[role].items()
        if name != "calibration"
        for measure, mean in one["means"]["student"].items()
    )
    return seal_artifact(
        folder,
        name=terms.model or recipe.name,
        kind="cross-encoder",
        recipe=recipe.student.text,
        metrics=metrics,
        probability=ProbabilityCalibration(line["slope"], line["intercept"], line["data"]),
        lineage=_short(lineage(done["evaluate"])),
        licence=terms.licence,
    )


def _short(stages: Mapping[str, Any]) -> dict[str, Any]:
    """Lineage without what is measured: settings, inputs, hashes, versions, times."""
    kept = ("key", "settings", "inputs", "outputs", "environment", "seconds")
    return {
        name: {key: manifest[key] for key in kept if key in manifest}
        for name, manifest in stages.items()
    }


def _served(artifact: Artifact) -> list[CrossEncoder]:
    """On all that any machine with the kernel takes unasked, or what is taken here without it."""
    here = load_cross_encoder(artifact, path_choice("auto"))
    kernel = ("native-int8", "native-int16")
    if here.numeric_path not in kernel:
        return [here]
    return [load_cross_encoder(artifact, path_choice(path)) for path in kernel]


def _judge_path(
    served: CrossEncoder,
    exact: CrossEncoder,
    material: Material,
    engine: Engine,
    margin: float,
    show: Console,
) -> list[gate.Verdict]:
    """Each set, both halves of dev: nothing is chosen by it."""
    verdicts = []
    show.print(f"{served.numeric_path} against fp32", highlight=False)
    for name in material.sets:
        judged = material.of_set("select", name) | material.of_set("report", name)
        if judged:
            data = (material.queries, material.products, judged)
            verdicts.append(
                gate.judge_lists(served, exact, name, data, SHARES, engine, margin=margin)
            )
            line = gate.line(verdicts[-1])
            show.print(line, markup=False, highlight=False, soft_wrap=True)
    return verdicts


def _means(model: CrossEncoder, material: Material, engine: Engine) -> dict[str, float]:
    """Set to mean nDCG@10 on dev-select, in fp32."""
    found = {}
    recipe = model.artifact.manifest.recipe
    for name in material.sets:
        judged = material.of_set("select", name)
        if judged:
            scorer = cross_encoder_scorer(engine, model)
            run = rank(scorer, material.queries, material.products, judged, recipe)
            found[name] = float(np.mean(list(ndcg(judged, run, SHARES).values())))
    return found


def _write_texts(
    recipe: Recipe, terms: Publish, beside: Path, done: Mapping[str, Finished], folder: Path
) -> None:
    """Licence and card, where the recipe names them."""
    if terms.licence_file:
        shutil.copy(beside / terms.licence_file, folder / "LICENSE")
    if not terms.card:
        return
    try:
        card = Template((beside / terms.card).read_text(encoding="utf-8"))
        text = card.substitute(
            facts=_facts(recipe, done), table=means_table(done["evaluate"].facts)
        )
    except OSError as error:
        raise ConfigError(f"{beside / terms.card}: {error.strerror or error}") from error
    except (KeyError, ValueError) as error:
        raise ConfigError(
            f"{beside / terms.card}: {error}; a card has $facts and $table, write $$ for $"
        ) from error
    (folder / "README.md").write_text(text, encoding="utf-8")


def _facts(recipe: Recipe, done: Mapping[str, Finished]) -> str:
    """How it was made, as a Markdown list."""
    student, line = done["student"], done["calibrate"].facts
    best = student.facts["best"]
    machine = student.manifest["environment"]
    versions = ", ".join(f"{name} {number}" for name, number in machine["versions"].items())
    settings, held = recipe.student, line["held_out"]
    runs = [(one.steps, one.seed) for one in recipe.soup] or [(settings.fit.steps, settings.seed)]
    lines = [
        f"learned from {student.facts['pairs']:,} pairs of {student.facts['lists']:,} queries",
        *(
            f"{steps:,} steps of {settings.fit.pairs_a_step} pairs, seed {seed}"
            for steps, seed in runs
        ),
        ("the mean of these by their steps" if recipe.soup else f"kept: step {best['step']:,.0f}")
        + f", dev-select nDCG@10 {best['nDCG@10']:.4f}",
        f"probability = sigmoid({line['slope']:.4f} x logit {line['intercept']:+.4f})",
        f"fitted on {line['data']}",
        f"of held-out queries: ECE {held['ece']:.4f}, Brier {held['brier']:.4f}",
        f"{machine['processor']}, {machine['threads']} threads; {versions}",
    ]
    for name, one in done.items():
        lines.append(f"{name}: `{one.folder.name}`, {one.manifest['seconds']:,.0f} s")
    return "\n".join(f"- {line}" for line in lines)
