"""`python -m benchmarks analyzers`: its options, its measurement, its table."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from benchmarks.analyzers.candidates import SHIPPED, candidates
from benchmarks.analyzers.result import FORMAT, AnalyzersResult, Compared, SetFound
from benchmarks.analyzers.searching import run_of, study_index
from benchmarks.ending import DATA, FIRST_SET, console, data_of_environment, notes, told_errors
from benchmarks.folds import REPEATS, Chosen, Values, choose_by_folds, over_sets, tally
from benchmarks.machine import Load, load_average, this_machine
from benchmarks.quality.collection import Collection, read_collection
from benchmarks.quality.plan import Plan
from benchmarks.results import require_writable, write_result
from local_cluster import use_or_start
from rerank_core.cluster.connection import connect
from rerank_core.cluster.dialect import detect
from rerank_core.cluster.settings import ClusterSettings
from rerank_core.errors import ConfigError
from rerank_core.measures import Interval, bootstrap, ndcg, paired_differences, paired_test

_PATIENCE_S = 120.0
"""A request's: nothing here is timed, and an index of many analyzers takes a while to make."""

Measured = dict[str, dict[str, Values]]
"""nDCG@10 by candidate, set and query."""


def analyzers(
    data: Annotated[
        list[Path] | None,
        typer.Argument(help=f"BEIR folders. Default: ${DATA}, or {FIRST_SET} in it."),
    ] = None,
    split: Annotated[str, typer.Option(help="Whose judgments count; never test.")] = Plan.split,
    folds: Annotated[int, typer.Option(min=2)] = 5,
    out: Annotated[Path | None, typer.Option(help="JSON file for every figure.")] = None,
) -> None:
    """Compares analyzers, boosts and forms of the lexical leg, one change of it at a time.

    Each candidate is asked every judged query of an index that holds the products by all
    analyzers; what is chosen among them by cross-validation is measured on queries beside. The last
    line of stdout is one line of JSON. Exit codes as of `quality`.
    """
    progress, before = notes(), load_average()
    with told_errors():
        if out is not None:
            require_writable(out)
        folders = data or [data_of_environment()]
        names = [folder.resolve().name for folder in folders]
        if len(set(names)) < len(names):
            raise ConfigError(f"folders {', '.join(names)}: two have one name; give each its own")
        sets = {
            name: read_collection(folder, split)
            for name, folder in zip(names, folders, strict=True)
        }
        with use_or_start() as settings, progress.status("indexing") as status:
            measured, cluster = _measure(sets, settings, status.update)
        chosen = choose_by_folds(measured, folds=folds, repeats=REPEATS)
        result = _result(sets, measured, chosen, cluster, split, before)
        if out is not None:
            write_result(result, out)
    console().print(table(result))
    summary = {
        "chosen": result.chosen,
        "folds": result.folds,
        "gain": [
            round(value, 4) for value in (result.gain.mean, result.gain.low, result.gain.high)
        ],
    }
    typer.echo(json.dumps(summary, separators=(",", ":")))


def table(result: AnalyzersResult) -> Table:
    """For people: differences to the shipped query, and the held-out gain below them."""
    shown = Table("candidate", *(f"{one.name}, {one.queries} queries" for one in result.sets))
    rows = zip(*(one.candidates for one in result.sets), strict=True)
    for row in rows:
        cells = [
            _told(one.ndcg)
            if one.name == SHIPPED
            else f"{_told(one.difference, '+')} p {one.p_value:.3f}"
            for one in row
        ]
        shown.add_row(row[0].name, *cells)
    shown.add_section()
    shown.add_row("chosen without the query", *(_told(one.gain, "+") for one in result.sets))
    shown.caption = f"chosen: {', '.join(f'{name} {n}' for name, n in result.folds.items())}"
    return shown


def _measure(
    sets: Mapping[str, Collection], settings: ClusterSettings, say: Callable[[str], None]
) -> tuple[Measured, str]:
    there = candidates()
    measured: Measured = {candidate.name: {} for candidate in there}
    with connect(replace(settings, timeout_s=max(settings.timeout_s, _PATIENCE_S))) as client:
        dialect = detect(client)
        for name, collection in sets.items():
            say(f"{name}: indexing {len(collection.products):,} products by every analyzer")
            with study_index(client, collection.products) as index:
                for candidate in there:
                    say(f"{name}: {candidate.name}")
                    run = run_of(client, index, candidate, collection.queries)
                    measured[candidate.name][name] = ndcg(
                        collection.judgments, run, collection.scale
                    )
    return measured, f"{dialect.name} {dialect.version}"


def _result(
    sets: Mapping[str, Collection],
    measured: Measured,
    chosen: Chosen[str],
    cluster: str,
    split: str,
    before: Load,
) -> AnalyzersResult:
    gains = {
        name: paired_differences(chosen.held_out[name], measured[SHIPPED][name]) for name in sets
    }
    return AnalyzersResult(
        format=FORMAT,
        machine=this_machine(),
        load_before=before,
        load_after=load_average(),
        cluster=cluster,
        split=split,
        sets=tuple(
            SetFound(
                name=name,
                queries=len(collection.queries),
                products=len(collection.products),
                candidates=_compared(measured, name),
                gain=bootstrap(gains[name]),
            )
            for name, collection in sets.items()
        ),
        chosen=chosen.setting,
        folds=tally(chosen.folds),
        gain=over_sets(gains),
    )


def _compared(measured: Measured, name: str) -> tuple[Compared, ...]:
    shipped = measured[SHIPPED][name]
    found = []
    for candidate, by_set in measured.items():
        test = paired_test(by_set[name], shipped)
        found.append(Compared(candidate, bootstrap(by_set[name]), test.difference, test.p_value))
    return tuple(found)


def _told(value: Interval, sign: str = "") -> str:
    return f"{value.mean:{sign}.3f} [{value.low:{sign}.3f}, {value.high:{sign}.3f}]"
