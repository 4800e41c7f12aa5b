"""Stage 2: teachers trained on the human judgments, and the mean of several."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from safetensors import safe_open

from distillation.fitting import BEST, best_point, fit, load_best
from distillation.pipeline import members, recipe
from distillation.pipeline.fit import Fit
from distillation.pipeline.split import Material
from distillation.pipeline.stage import Finished
from distillation.precision import in_bfloat16
from distillation.ranking import (
    UNREADABLE,
    Ask,
    Rows,
    Run,
    lists_of,
    means,
    measure_on,
    teacher_run,
    unreadable,
)
from distillation.student import Student, text_encoder
from distillation.teachers.bi_encoder import BiEncoderTeacher
from distillation.teachers.contract import Pair, Teacher
from distillation.teachers.cosine import CosineTeacher
from distillation.teachers.cross_encoder import CrossEncoderTeacher
from distillation.teachers.decoder import (
    DecoderHead,
    DecoderTeacher,
    GradeTeacher,
    load_tokenizer,
    revision_of,
)
from distillation.teachers.file import FileTeacher
from distillation.teachers.mean import MeanTeacher, spread
from distillation.teachers.prompt import Prompt
from distillation.teachers.server import ServerTeacher
from rerank_core.artifact import named_folder
from rerank_core.errors import ConfigError
from rerank_core.hashing import hash_file, hash_json
from rerank_core.measures import Judgments, read_run, write_run

_SPREAD_QUERIES = 300
"""Judged queries that a member's spread is taken over: enough for two digits."""
SELECT, HUMAN = "select.trec", "human.trec"


def content_of(member: members.Member, data: Path) -> dict[str, str]:
    """Hashes of what the names in a member's table stand for. Raises `ConfigError`."""
    match member:
        case members.CosineTeacher() | members.CrossEncoderTeacher():
            return {"base_weights": hash_weights(named_folder(member.base))}
        case members.BiEncoderTeacher() | members.DecoderTeacher() | members.GradeTeacher():
            return {"base_weights": revision_of(member.base)}
        case members.FileTeacher():
            return {"content": _hash_input(data / member.path)}
        case members.ServerTeacher():  # its revision stands in the table
            return {}


def hash_weights(folder: Path) -> str:
    """sha256 of a model folder's weights. Raises `ConfigError`."""
    return _hash_input(folder / "model.safetensors")


def _hash_input(path: Path) -> str:
    try:
        return hash_file(path)
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror or error}; the recipe names it") from error


def do_member(
    member: members.Member,
    material: Material,
    folder: Path,
    key: str,
    show: Console,
    ask: Ask,
) -> dict[str, Any]:
    """Trains the member where it is to be trained; writes its runs on select and on human lists.

    `ask` has its answers.
    """
    facts: dict[str, Any] = {}
    if isinstance(member, _TRAINED) and member.fit is not None:
        facts["curve"] = _train(member, member.fit, material, folder, key, show)
        facts["best"] = best_point(facts["curve"])
    teacher = open_member(member, folder, material.data)
    select, sample = judged_for_members(material)
    run = teacher_run(teacher, select, material.queries, material.products, ask)
    write_run(run, folder / SELECT, tag=member.kind)
    human = teacher_run(teacher, sample, material.queries, material.products, ask)
    write_run(human, folder / HUMAN, tag=member.kind)
    facts["unreadable"] = {"select": unreadable(run), "human": unreadable(human)}
    facts["select"] = by_set(select, run, material.sets)
    return facts


def judged_for_members(material: Material) -> tuple[Judgments, Judgments]:
    """What every member is asked for, whatever the pool: dev-select, and lists for its spread."""
    human = dict(list(material.judgments("human").items())[:_SPREAD_QUERIES])
    return material.judgments("select"), human


_TRAINED = members.CrossEncoderTeacher | members.DecoderTeacher


def is_trained(member: members.Member) -> bool:
    """Whether it learns from the human judgments before it is asked."""
    return isinstance(member, _TRAINED) and member.fit is not None


def _train(
    member: members.CrossEncoderTeacher | members.DecoderTeacher,
    settings: Fit,
    material: Material,
    folder: Path,
    key: str,
    show: Console,
) -> list[dict[str, float]]:
    torch.manual_seed(member.seed)
    network, rows = _network(member, settings.dropout)
    queries, products = material.queries, material.products
    select = choosing(material)
    measure = measure_on(
        select,
        lists_of(select, queries, products, member.text, rows),
        bfloat16=in_bfloat16(settings.precision),
    )
    lists = lists_of(material.judgments("human"), queries, products, member.text, rows)
    return fit(
        network, settings, lists, folder, seed=member.seed, identity=key, measure=measure, show=show
    )


def _network(
    member: members.CrossEncoderTeacher | members.DecoderTeacher, dropout: float | None
) -> tuple[Any, Rows]:
    """A fresh network and what makes a query and texts its rows."""
    if isinstance(member, members.DecoderTeacher):
        tokenizer, prompt = load_tokenizer(member.base), Prompt(member.prompt, member.text)
        network = DecoderHead(
            member.base, classes=member.classes, layers=member.layers, lora=member.lora
        )
        return network, lambda query, texts: prompt.rows(
            tokenizer, [Pair(query, text) for text in texts]
        )
    base = named_folder(member.base)
    encoder = text_encoder(base, member.text)
    return Student(base, layers=member.layers, dropout=dropout), encoder.pairs


def choosing(material: Material) -> dict[str, dict[str, float]]:
    """dev-select of the sets whose judgments teach: the others stay out of domain."""
    taught = {query.split("/")[0] for query in material.judgments("human")}
    chosen = {q: r for q, r in material.judgments("select").items() if q.split("/")[0] in taught}
    return chosen or material.judgments("select")


def by_set(
    judgments: Mapping[str, Mapping[str, float]],
    run: Mapping[str, Mapping[str, float]],
    sets: Sequence[str],
) -> dict[str, dict[str, float]]:
    """Set to measure to mean."""
    found = {}
    for name in sets:
        part = {query: rows for query, rows in judgments.items() if query.startswith(f"{name}/")}
        if part:
            found[name] = means(part, {query: dict(run[query]) for query in part})
    return found


def do_teacher(members: Sequence[Finished], material: Material, folder: Path) -> dict[str, Any]:
    """The mean of the members' runs; spreads, and what the mean is worth on select.

    One member alone is its own scale, whatever it answers for.
    """
    runs = [read_run(one.folder / SELECT) for one in members]
    run, facts = runs[0], dict[str, Any]()
    if len(members) > 1:
        spreads = [_spread(number, one) for number, one in enumerate(members)]
        facts = {"spreads": spreads, "scale": sum(spreads) / len(spreads)}
        run = _mean(runs, spreads, facts["scale"])
    write_run(run, folder / SELECT, tag="teacher")
    select = by_set(material.judgments("select"), run, material.sets)
    return facts | {"select": select, "members": [one.folder.name for one in members]}


def _spread(number: int, member: Finished) -> float:
    try:
        return spread(read_run(member.folder / HUMAN))
    except ConfigError as error:
        raise ConfigError(f"teacher: member {number}: among the human judgments {error}") from error


def _mean(runs: Sequence[Run], spreads: Sequence[float], scale: float) -> Run:
    """As `MeanTeacher` answers; what one member could not be read for, the mean cannot."""

    def of(scores: Sequence[float]) -> float:
        if UNREADABLE in scores:
            return UNREADABLE
        return scale * sum(x / s for x, s in zip(scores, spreads, strict=True)) / len(scores)

    return {
        query: {name: of([one[query][name] for one in runs]) for name in rows}
        for query, rows in runs[0].items()
    }


def open_teacher(
    teacher: recipe.Teacher, stage: Finished, members: Sequence[Finished], data: Path
) -> Teacher:
    """The teacher of a finished stage, ready to label."""
    opened = [
        open_member(member, one.folder, data)
        for member, one in zip(teacher.members, members, strict=True)
    ]
    if len(opened) == 1:
        return opened[0]
    return MeanTeacher(opened, stage.facts["spreads"], stage.facts["scale"])


def open_member(member: members.Member, folder: Path, data: Path) -> Teacher:
    """A member whose training, where it has one, is done."""
    match member:
        case members.CosineTeacher():
            return CosineTeacher(member.base, member.text)
        case members.BiEncoderTeacher():
            return BiEncoderTeacher(member.base, member.text, revision_of(member.base))
        case members.CrossEncoderTeacher() | members.DecoderTeacher():
            return _open_network(member, folder)
        case members.GradeTeacher():
            prompt = Prompt(member.prompt, member.text, member.grades)
            return GradeTeacher(member.base, prompt, member.grades, revision_of(member.base))
        case members.ServerTeacher():
            return ServerTeacher(member)
        case members.FileTeacher():
            return FileTeacher(data / member.path, member.text)


def _open_network(
    member: members.CrossEncoderTeacher | members.DecoderTeacher, folder: Path
) -> Teacher:
    if isinstance(member, members.CrossEncoderTeacher) and member.fit is None:
        _require_head(member)
    network, _ = _network(member, None)
    if member.fit is not None:
        load_best(network, folder)
    if isinstance(member, members.DecoderTeacher):
        prompt = Prompt(member.prompt, member.text)
        tokenizer = load_tokenizer(member.base)
        return DecoderTeacher(network, tokenizer, prompt, hash_file(folder / BEST))
    base = named_folder(member.base)
    weights = folder / BEST if member.fit is not None else base / "model.safetensors"
    revision = hash_file(weights)
    if member.layers is not None:
        revision = hash_json([revision, member.layers])
    encoder = text_encoder(base, member.text)
    return CrossEncoderTeacher(network, encoder, "cross-encoder", revision)


def _require_head(member: members.CrossEncoderTeacher) -> None:
    with safe_open(named_folder(member.base) / "model.safetensors", "numpy") as weights:
        if not any(name.startswith("classifier.") for name in weights.keys()):  # noqa: SIM118
            raise ConfigError(
                f"{member.base}: has no head of a cross-encoder; train one by [teacher.members.fit]"
            )
