"""`python -m benchmarks index`: its options and its answer."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from statistics import median
from typing import Annotated, Any

import typer

from benchmarks.ending import DATA, told_errors
from benchmarks.index.plot import draw
from benchmarks.index.result import IndexResult, Plan
from benchmarks.index.run import measure
from benchmarks.results import require_writable, write_result
from local_cluster import use_or_start
from rerank_core.errors import ConfigError
from rerank_core.records import read_json


def index(  # noqa: PLR0913, PLR0917  one a command line option
    data: Annotated[
        Path | None, typer.Argument(help=f"BEIR folder. Default: ${DATA}/homedepot.")
    ] = None,
    products: Annotated[int, typer.Option(min=1, help="Distinct ones.")] = Plan.products,
    rounds: Annotated[int, typer.Option(min=0, help="Interleaved.")] = Plan.rounds,
    contender: Annotated[
        list[str] | None, typer.Option(help="ours, parallel_bulk, streaming_bulk; repeatable.")
    ] = None,
    memory_products: Annotated[
        list[int] | None,
        typer.Option(min=1, help="Ours alone, once, for its peak memory; repeatable."),
    ] = None,
    memory_encoder: Annotated[
        str, typer.Option(help="Of these: minilm, or a folder.")
    ] = Plan.memory_encoder,
    out: Annotated[
        Path | None,
        typer.Option(help="JSON file for the raw samples, written anew after each round."),
    ] = None,
    plot: Annotated[Path | None, typer.Option(help="SVG or PNG file.")] = None,
    *,
    add: Annotated[bool, typer.Option("--add", help="To the rounds that are in --out.")] = False,
) -> None:
    """The index builder beside the usual scripts, on a real cluster.

    OPENSEARCH_URL, else one that is started for the while. Progress goes to stderr; the last line
    of stdout is JSON. Exit codes: 0; 2: an option or the data must be mended; 4: the cluster;
    130: interrupted; 1: anything else.
    """
    with told_errors():
        folder = data or Path(os.environ.get(DATA, "")) / "homedepot"
        if not folder.is_dir():
            raise ConfigError(f"{folder}: no such folder; name a BEIR folder")
        for file in (out, plot):
            if file is not None:
                require_writable(file)
        plan = Plan(
            folder,
            products,
            rounds,
            tuple(contender or Plan.contenders),
            tuple(memory_products or ()),
            memory_encoder,
        )
        unknown = set(plan.contenders) - set(Plan.contenders)
        if unknown:
            raise ConfigError(
                f"--contender {unknown.pop()}: say one of {', '.join(Plan.contenders)}"
            )
        earlier = None
        if add:
            if out is None:
                raise ConfigError("--add needs --out, the file that it adds to")
            earlier = read_json(IndexResult, out, str(out), ConfigError)
            earlier.check_same(plan, str(out))
        with use_or_start() as settings:
            result = measure(
                plan,
                settings,
                lambda line: typer.echo(line, err=True),
                lambda found: None if out is None else write_result(found, out),
                earlier,
            )
        if out is not None:
            write_result(result, out)
        if plot is not None:
            draw(result, plot)
    for line in lines(result):
        typer.echo(line)
    typer.echo(json.dumps(summary(result)))


def lines(result: IndexResult) -> Iterator[str]:
    """A table for people."""
    processor = result.machine.processor
    yield f"{result.products:,} products of {result.data}, {result.cluster}, {processor}"
    for name in result.names:
        speed = result.median(name, lambda one: one.documents / one.seconds)
        encode, write, merge = result.shares(name)
        builder = result.median(name, lambda one: one.builder_cpu_s)
        cluster = result.median(name, lambda one: one.cluster_cpu_s)
        peak = result.median(name, lambda one: one.peak_bytes) / 2**20
        yield (
            f"{name:>15} {speed:8,.0f} documents/s; of load and merge: encode {encode:.0%}, write "
            f"{write:.0%}, merge {merge:.0%}; processor {builder:.1f} + {cluster:.1f} s, "
            f"peak {peak:,.0f} MB"
        )
    for sample in result.peaks:
        yield f"ours, {sample.documents:,} products: peak {sample.peak_bytes / 2**20:,.0f} MB"
    yield from result.notes


def summary(result: IndexResult) -> dict[str, Any]:
    """What a machine wants to know."""
    return {
        "documents_per_second": {
            name: round(result.median(name, lambda one: one.documents / one.seconds), 1)
            for name in result.names
        },
        "times_faster": {
            name: round(median(ratios), 2)
            for name in result.names
            if name != "ours" and (ratios := result.ratios(name))
        },
        "wall_by_processor_share": round(result.wall_by_processor_share, 3)
        if "ours" in result.names
        else None,
        "peak_bytes": {str(one.documents): one.peak_bytes for one in result.peaks},
        "agreement": asdict(result.agreement) if result.agreement else None,
    }
