"""`python -m benchmarks fusion`: its options, its table, the record."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from benchmarks.ending import DATA, FIRST_SET, console, data_of_environment, notes, told_errors
from benchmarks.folds import REPEATS, tally
from benchmarks.fusion.choice import LEXICAL, VECTOR, Choice, Judged, choose
from benchmarks.fusion.result import FORMAT, FusionResult, Looked
from benchmarks.machine import Load, load_average, this_machine
from benchmarks.quality.collection import read_collection
from benchmarks.quality.first_stage import FirstStage, find_candidates
from benchmarks.quality.plan import Plan
from benchmarks.results import require_writable, write_result
from local_cluster import use_or_start
from rerank_core.cluster.weights import ChosenWeights
from rerank_core.engine import Engine
from rerank_core.errors import ConfigError
from rerank_core.measures import Interval
from rerank_core.records import to_json


def fusion(  # noqa: PLR0913, PLR0917  one a command line option
    data: Annotated[
        list[Path] | None,
        typer.Argument(
            help=f"BEIR folders, which get one setting. Default: ${DATA}, or {FIRST_SET} in it."
        ),
    ] = None,
    split: Annotated[str, typer.Option(help="Whose judgments count; never test.")] = Plan.split,
    encoder: Annotated[
        str, typer.Option(help="Bi-encoder: minilm, or a model folder.")
    ] = Plan.encoder,
    alias: Annotated[
        list[str] | None,
        typer.Option(help="Search the index behind it, and build none; one a folder, in order."),
    ] = None,
    depth: Annotated[int, typer.Option(min=10, help="As in the profile.")] = Plan.depth,
    folds: Annotated[int, typer.Option(min=2)] = 5,
    out: Annotated[
        Path | None, typer.Option(help="TOML record; a profile names it as weights_file.")
    ] = None,
    results: Annotated[
        Path | None, typer.Option(help="JSON record: machine, commit, every set and setting.")
    ] = None,
) -> None:
    """Chooses fusion and weights of the legs on judged queries, by cross-validation.

    The figure to believe is the held-out one: each query by weights chosen without it. Of several
    folders each counts the same. The last line of stdout is one line of JSON. Exit codes as of
    `quality`.
    """
    progress, before = notes(), load_average()
    with told_errors():
        for path in (out, results):
            if path is not None:
                require_writable(path)
        folders = data or [data_of_environment()]
        plans = [
            Plan(
                data=folder,
                split=split,
                encoder=encoder,
                alias=index,
                depth=depth,
                depths=(depth,),
            )
            for folder, index in zip(folders, _aliases(folders, alias or ()), strict=True)
        ]
        collections = [read_collection(plan.data, plan.split) for plan in plans]
        with (
            use_or_start() as settings,
            progress.status("searching") as status,
            Engine() as engine,
        ):
            stages = [
                find_candidates(plan, collection.queries, settings, engine, status.update)
                for plan, collection in zip(plans, collections, strict=True)
            ]
        sets = [
            Judged(plan.data.name, stage.legs[depth], collection.judgments, collection.scale)
            for plan, collection, stage in zip(plans, collections, stages, strict=True)
        ]
        choice = choose(sets, folds=folds, repeats=REPEATS)
        record = _record(plans, stages[0], choice)
        if out is not None:
            out.write_text(to_toml(record), encoding="utf-8")
        if results is not None:
            found = _result(record, choice, stages[0].cluster, depth, before)
            write_result(found, results)
    console().print(table(choice))
    typer.echo(json.dumps(to_json(record), separators=(",", ":")))


def table(choice: Choice) -> Table:
    """For people."""
    shown = Table("set", "nDCG@10", "mean", "weights, or difference")
    for one in choice.sets:
        for leg, value in one.legs.items():
            shown.add_row(one.name, f"{leg} alone", told(value))
        shown.add_row(one.name, "half and half", told(one.equal))
        shown.add_row(one.name, "chosen without the query", told(one.held_out))
        for what, gain in (
            ("over its better leg", one.over_better_leg),
            ("over half and half", one.over_equal),
        ):
            shown.add_row(one.name, what, "", told(gain, "+"))
    setting = choice.setting
    weights = f"{setting.method}, {LEXICAL} {setting.lexical:g}"
    shown.add_row("all", "chosen, on the queries of the choice", f"{choice.ndcg:.4f}", weights)
    others = ", ".join(f"{name}: {times}" for name, times in _tally(choice).items())
    shown.add_row("all", "chosen without the query", told(choice.held_out), others)
    return shown


def told(value: Interval, sign: str = "") -> str:
    """A mean with its interval."""
    return f"{value.mean:{sign}.4f} [{value.low:{sign}.4f}, {value.high:{sign}.4f}]"


def to_toml(record: ChosenWeights) -> str:
    """The record as a file that `read_weights` reads."""
    plain = to_json(record)
    tables = {name: value for name, value in plain.items() if isinstance(value, dict)}
    lines = ["# Written by python -m benchmarks fusion; a profile names it as weights_file."]
    # JSON's strings and numbers are TOML's, too.
    lines += [f"{name} = {json.dumps(plain[name])}" for name in plain if name not in tables]
    for name, value in tables.items():
        lines += [f"\n[{name}]", *(f"{key} = {json.dumps(part)}" for key, part in value.items())]
    return "\n".join(lines) + "\n"


def _aliases(folders: Sequence[Path], aliases: Sequence[str]) -> Sequence[str]:
    """One a folder; empty where an index is made."""
    names = [folder.resolve().name for folder in folders]
    if len(set(names)) < len(names):
        raise ConfigError(f"folders {', '.join(names)}: two have one name; give each its own")
    if aliases and len(aliases) != len(folders):
        raise ConfigError(
            f"--alias: {len(aliases)} for {len(folders)} folders; give one for each, or none"
        )
    return aliases or [Plan.alias] * len(folders)


def _record(plans: Sequence[Plan], stage: FirstStage, choice: Choice) -> ChosenWeights:
    weights = choice.setting.weights
    return ChosenWeights(
        method=choice.setting.method,
        weights={"lexical": weights[LEXICAL], "vector": weights[VECTOR]},
        data=", ".join(plan.data.name for plan in plans),
        split=plans[0].split,
        queries=sum(one.queries for one in choice.sets),
        index=", ".join(plan.alias for plan in plans if plan.alias) or "made for the while",
        templates=stage.templates,
        encoder_hash=stage.encoder_hash,
        ndcg=round(choice.ndcg, 4),
        held_out=round(choice.held_out.mean, 4),
        held_out_low=round(choice.held_out.low, 4),
        held_out_high=round(choice.held_out.high, 4),
        better_leg=round(max(choice.legs.values()), 4),
        chosen_at=datetime.now(UTC).isoformat(timespec="seconds"),
    )


def _result(
    record: ChosenWeights, choice: Choice, cluster: str, depth: int, before: Load
) -> FusionResult:
    return FusionResult(
        format=FORMAT,
        machine=this_machine(),
        load_before=before,
        load_after=load_average(),
        cluster=cluster,
        depth=depth,
        chosen=record,
        held_out=choice.held_out,
        sets=choice.sets,
        grid=tuple(
            Looked(setting.method, setting.lexical, value) for setting, value in choice.grid.items()
        ),
        folds=_tally(choice),
    )


def _tally(choice: Choice) -> dict[str, int]:
    return tally([f"{one.method} {one.lexical:g}" for one in choice.folds])
