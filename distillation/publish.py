"""From a run's best weights to a sealed model folder with a measured card."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch

from distillation.card import fill_card
from distillation.evaluation import (
    Comparison,
    compare,
    cosine_scorer,
    cross_encoder_scorer,
    summary,
)
from distillation.publication import read_publication
from distillation.recipe import TrainingRecipe
from distillation.run import METRICS
from distillation.student import Student
from distillation.watch import BEST
from rerank_core import records
from rerank_core.artifact import (
    Artifact,
    Licence,
    Metric,
    named_folder,
    open_artifact,
    seal_artifact,
)
from rerank_core.engine import Engine, load_bi_encoder, load_cross_encoder
from rerank_core.errors import ConfigError

EVALUATION = "evaluation.json"
_TOKENIZER_FILES = ("tokenizer.json", "tokenizer_config.json")


def publish_student(run: Path, folder: Path, publication: Path) -> Artifact:
    """Writes the best weights of `run` to `folder` in fp16, with their terms, and seals it.

    Raises `ConfigError` where `run` is not finished, or the folder holds anything already.
    """
    terms = read_publication(publication)
    metrics, recipe = _finished(run)
    if folder.exists() and any(folder.iterdir()):
        raise ConfigError(f"{folder}: is not empty; publish into a new folder")
    write_weights(recipe, run / BEST, named_folder(recipe.base), folder)
    shutil.copy(publication.parent / terms.licence_file, folder / "LICENSE")
    return _seal(folder, recipe, metrics, terms.licence, [])


def measure_student(
    run: Path,
    folder: Path,
    publication: Path,
    data: Path,
    *,
    done: Callable[[Comparison], None] = lambda _comparison: None,
) -> Artifact:
    """Measures a published folder and writes its card and the metrics of its manifest.

    What is measured is what is served: the folder's weights, the engine's arithmetic. The same
    goes to `evaluation.json` in `run`. Weights are not touched. `done` hears each comparison.
    Raises `ConfigError` where `run` is not finished, `ArtifactError` where the folder is not sound.
    """
    terms = read_publication(publication)
    metrics, recipe = _finished(run)
    student = load_cross_encoder(open_artifact(folder))
    floor = load_bi_encoder(open_artifact(named_folder(recipe.base)))
    comparisons = []
    with Engine() as engine:
        ours = cross_encoder_scorer(engine, student), student.artifact.manifest.recipe
        for comparison in compare(data, terms.sets, ours, cosine_scorer(engine, floor)):
            done(comparison)
            comparisons.append(comparison)
    found = {
        "model_hash": student.hash,
        "numeric_path": student.numeric_path,
        "comparisons": [summary(one) for one in comparisons],
    }
    (run / EVALUATION).write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    card = fill_card(publication.parent / terms.card, metrics, comparisons)
    (folder / "README.md").write_text(card, encoding="utf-8")
    return _seal(folder, recipe, metrics, terms.licence, comparisons)


def write_weights(recipe: TrainingRecipe, checkpoint: Path, base: Path, folder: Path) -> None:
    """Writes config, tokenizer and fp16 weights in safetensors: a Hugging Face folder."""
    student = Student(base, layers=recipe.layers)
    content = torch.load(checkpoint, weights_only=True)
    student.load_state_dict(content["average"] or content["student"])
    network = student.network
    network.config.id2label, network.config.label2id = {0: "relevance"}, {"relevance": 0}
    network.half().save_pretrained(folder)
    for name in _TOKENIZER_FILES:
        shutil.copy(base / name, folder / name)


def _finished(run: Path) -> tuple[dict[str, Any], TrainingRecipe]:
    path = run / METRICS
    if not path.is_file():
        raise ConfigError(f"{path}: missing; the run is not finished, give train --resume")
    metrics: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    text = json.dumps(metrics["recipe"])
    return metrics, records.read_json(TrainingRecipe, text, str(path), ConfigError)


def _seal(
    folder: Path,
    recipe: TrainingRecipe,
    metrics: dict[str, Any],
    licence: Licence,
    comparisons: Sequence[Comparison],
) -> Artifact:
    measured = [
        Metric(
            measure=f"{measure}, {comparison.text}",
            data=comparison.data,
            protocol=comparison.evaluation.protocol,
            value=round(interval.mean, 5),
            queries=comparison.queries,
        )
        for comparison in comparisons
        if comparison.tests
        for measure, interval in comparison.means().items()
    ]
    return seal_artifact(
        folder,
        name=recipe.name,
        kind="cross-encoder",
        recipe=recipe.text,
        metrics=tuple(measured),
        lineage={name: value for name, value in metrics.items() if name != "curve"},
        licence=licence,
    )
