"""`python -m benchmarks index`: its options, its table, its plot."""

from __future__ import annotations

import importlib
import json
import os
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from statistics import median
from typing import Annotated, Any

import typer

from benchmarks.index.run import IndexResult, Plan, measure
from local_cluster import use_or_start
from rerank_core.errors import ClusterError, ConfigError, InputError, RerankError, SetupError

_MEND, _CLUSTER = 2, 4


def index(
    data: Annotated[
        Path | None, typer.Argument(help="BEIR folder. Default: $RERANK_DATA/homedepot.")
    ] = None,
    products: Annotated[int, typer.Option(min=1, help="Distinct ones.")] = Plan.products,
    rounds: Annotated[int, typer.Option(min=1, help="Interleaved.")] = Plan.rounds,
    contender: Annotated[
        list[str] | None, typer.Option(help="ours, parallel_bulk, streaming_bulk; repeatable.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="JSON file for the raw samples.")] = None,
    plot: Annotated[Path | None, typer.Option(help="SVG or PNG file.")] = None,
) -> None:
    """The index builder beside the usual scripts, on a real cluster.

    OPENSEARCH_URL, else one that is started for the while. The last line of stdout is JSON.
    """
    try:
        folder = data or Path(os.environ.get("RERANK_DATA", "")) / "homedepot"
        if not folder.is_dir():
            raise ConfigError(f"{folder}: no such folder; name a BEIR folder")
        plan = Plan(folder, products, rounds, tuple(contender or Plan.contenders))
        with use_or_start() as settings:
            result = measure(plan, settings, lambda line: typer.echo(line, err=True))
        if out is not None:
            out.write_text(json.dumps(asdict(result), indent=1) + "\n", encoding="utf-8")
        if plot is not None:
            draw(result, plot)
    except RerankError as error:
        typer.echo(f"benchmarks: {error}", err=True)
        kinds = (SetupError, InputError)
        code = (
            _MEND
            if isinstance(error, kinds)
            else _CLUSTER
            if isinstance(error, ClusterError)
            else 1
        )
        raise typer.Exit(code) from error
    for line in lines(result):
        typer.echo(line)
    typer.echo(json.dumps(summary(result)))


def lines(result: IndexResult) -> Iterator[str]:
    """A table for people."""
    processor = result.machine.processor
    yield f"{result.products:,} products of {result.data}, {result.cluster}, {processor}"
    for name in dict.fromkeys(sample.name for sample in result.samples):
        speed = result.median(name, lambda one: one.documents / one.seconds)
        encode = result.median(name, lambda one: one.encode_s)
        merge = result.median(name, lambda one: one.merge_s)
        builder = result.median(name, lambda one: one.builder_cpu_s)
        cluster = result.median(name, lambda one: one.cluster_cpu_s)
        peak = result.median(name, lambda one: one.peak_bytes) / 2**20
        yield (
            f"{name:>15} {speed:8,.0f} documents/s, encode {encode:.1f} s, merge {merge:.1f} s, "
            f"processor {builder:.1f} + {cluster:.1f} s, peak {peak:,.0f} MB"
        )


def summary(result: IndexResult) -> dict[str, Any]:
    """What a machine wants to know."""
    names = dict.fromkeys(sample.name for sample in result.samples)
    return {
        "documents_per_second": {
            name: round(result.median(name, lambda one: one.documents / one.seconds), 1)
            for name in names
        },
        "times_faster": {
            name: round(median(ratios), 2)
            for name in names
            if name != "ours" and (ratios := result.ratios(name))
        },
        "wall_by_processor_share": round(
            result.median(
                "ours",
                lambda one: (
                    one.seconds / ((one.builder_cpu_s + one.cluster_cpu_s) / result.machine.cores)
                ),
            ),
            3,
        )
        if "ours" in names
        else None,
        "agreement": asdict(result.agreement) if result.agreement else None,
    }


def draw(result: IndexResult, path: Path) -> None:
    """Documents a second, a bar a contender, a dot a round. Raises `ConfigError`."""
    try:
        pyplot = importlib.import_module("matplotlib.pyplot")
    except ImportError as error:
        raise ConfigError("--plot needs matplotlib: pip install matplotlib") from error
    figure, axes = pyplot.subplots(figsize=(6, 3), layout="constrained")
    names = list(dict.fromkeys(sample.name for sample in result.samples))
    for place, name in enumerate(names):
        speeds = [one.documents / one.seconds for one in result.samples if one.name == name]
        axes.barh(place, median(speeds), color="#88aacc")
        axes.plot(speeds, [place] * len(speeds), "k.")
    axes.set_yticks(range(len(names)), names)
    axes.set_xlabel(f"documents a second ({result.products:,} products of {result.data})")
    figure.savefig(path)
    pyplot.close(figure)
