"""`python -m benchmarks fusion`: its options, its table, the record."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from benchmarks.ending import DATA, FIRST_SET, console, data_of_environment, notes, told_errors
from benchmarks.fusion.choice import LEXICAL, VECTOR, Choice, choose
from benchmarks.quality.collection import read_collection
from benchmarks.quality.first_stage import FirstStage, find_candidates
from benchmarks.quality.plan import Plan
from benchmarks.results import require_writable
from local_cluster import use_or_start
from rerank_core.cluster.weights import ChosenWeights
from rerank_core.engine import Engine
from rerank_core.records import to_json


def fusion(
    data: Annotated[
        Path | None,
        typer.Argument(help=f"BEIR folder. Default: ${DATA}, or {FIRST_SET} in it."),
    ] = None,
    split: Annotated[str, typer.Option(help="Whose judgments count; never test.")] = Plan.split,
    encoder: Annotated[
        str, typer.Option(help="Bi-encoder: minilm, or a model folder.")
    ] = Plan.encoder,
    alias: Annotated[
        str, typer.Option(help="Search the index behind it, and build none.")
    ] = Plan.alias,
    depth: Annotated[int, typer.Option(min=10, help="As in the profile.")] = Plan.depth,
    folds: Annotated[int, typer.Option(min=2)] = 5,
    out: Annotated[
        Path | None, typer.Option(help="TOML record; a profile names it as weights_file.")
    ] = None,
) -> None:
    """Chooses fusion and weights of the legs on judged queries, by cross-validation.

    The figure to believe is the held-out one: each query by weights chosen without it. The last
    line of stdout is one line of JSON. Exit codes as of `quality`.
    """
    progress = notes()
    with told_errors():
        if out is not None:
            require_writable(out)
        plan = Plan(
            data=data or data_of_environment(),
            split=split,
            encoder=encoder,
            alias=alias,
            depth=depth,
            depths=(depth,),
        )
        collection = read_collection(plan.data, plan.split)
        with (
            use_or_start() as settings,
            progress.status("searching") as status,
            Engine() as engine,
        ):
            found = find_candidates(plan, collection.queries, settings, engine, status.update)
        choice = choose(found.legs, collection.judgments, collection.scale, folds=folds)
        record = _record(plan, found, choice, len(collection.queries))
        if out is not None:
            out.write_text(to_toml(record), encoding="utf-8")
    console().print(table(choice))
    typer.echo(json.dumps(to_json(record), separators=(",", ":")))


def table(choice: Choice) -> Table:
    """For people."""
    shown = Table("nDCG@10", "mean", "weights")
    for leg, value in choice.legs.items():
        shown.add_row(f"{leg} alone", f"{value:.4f}")
    setting = choice.setting
    weights = f"{setting.method}, {LEXICAL} {setting.lexical:g}"
    shown.add_row("chosen, on the queries of the choice", f"{choice.ndcg:.4f}", weights)
    held = choice.held_out
    others = ", ".join(f"{one.method} {one.lexical:g}" for one in choice.folds)
    shown.add_row(
        "chosen without the query", f"{held.mean:.4f} [{held.low:.4f}, {held.high:.4f}]", others
    )
    return shown


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


def _record(plan: Plan, found: FirstStage, choice: Choice, queries: int) -> ChosenWeights:
    weights = choice.setting.weights
    return ChosenWeights(
        method=choice.setting.method,
        weights={"lexical": weights[LEXICAL], "vector": weights[VECTOR]},
        data=plan.data.name,
        split=plan.split,
        queries=queries,
        index=plan.alias or "made for the while",
        templates=found.templates,
        encoder_hash=found.encoder_hash,
        ndcg=round(choice.ndcg, 4),
        held_out=round(choice.held_out.mean, 4),
        held_out_low=round(choice.held_out.low, 4),
        held_out_high=round(choice.held_out.high, 4),
        better_leg=round(max(choice.legs.values()), 4),
        chosen_at=datetime.now(UTC).isoformat(timespec="seconds"),
    )
