"""`python -m benchmarks quality`: its options, its table, its files."""

from __future__ import annotations

import json
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from benchmarks.ending import DATA, FIRST_SET, console, data_of_environment, notes, told_errors
from benchmarks.quality.collection import read_collection
from benchmarks.quality.comparisons import AFTER
from benchmarks.quality.figures import CEILING, CONDENSED, JUDGED, NDCG, RECALL
from benchmarks.quality.plan import Plan
from benchmarks.quality.report import write_report
from benchmarks.quality.result import QualityResult
from benchmarks.quality.run import measure_quality, write_runs
from benchmarks.results import require_writable, write_result
from index_builder.schema import BEIR, read_schema
from local_cluster import use_or_start


class _Fusion(StrEnum):
    RRF = "rrf"
    MINMAX = "minmax"


def quality(  # noqa: PLR0913, PLR0917  one a command line option
    data: Annotated[
        Path | None,
        typer.Argument(help=f"BEIR folder. Default: ${DATA}, or {FIRST_SET} in it."),
    ] = None,
    split: Annotated[str, typer.Option(help="Whose judgments count.")] = Plan.split,
    encoder: Annotated[
        str, typer.Option(help="Bi-encoder: minilm, or a model folder.")
    ] = Plan.encoder,
    reranker: Annotated[
        str, typer.Option(help="Cross-encoder: student, or a model folder.")
    ] = Plan.reranker,
    schema: Annotated[
        Path | None, typer.Option(help="TOML file of the index's fields. Default: BEIR's names.")
    ] = None,
    alias: Annotated[
        str, typer.Option(help="Search the index behind it, and build none.")
    ] = Plan.alias,
    depth: Annotated[
        int, typer.Option(help="Candidates of each leg, and of the fusion.")
    ] = Plan.depth,
    rerank_depth: Annotated[
        int, typer.Option(help="Of these, how many are reranked; 0: all.")
    ] = Plan.rerank_depth,
    blend: Annotated[
        float, typer.Option(help="Share of the first stage's score after the rerank.")
    ] = Plan.blend,
    deepest: Annotated[
        int, typer.Option(help="Of the sweep; every candidate down to it is scored.")
    ] = max(Plan.depths),
    fusion: Annotated[_Fusion, typer.Option(help="Of the legs.")] = _Fusion.RRF,
    lexical_weight: Annotated[
        float, typer.Option(min=0, max=1, help="The vector leg has the rest of 1.")
    ] = Plan.lexical_weight,
    relevant: Annotated[
        float | None, typer.Option(help="Least grade that recall counts. Default: upper half.")
    ] = Plan.relevant,
    out: Annotated[Path | None, typer.Option(help="JSON file for every figure.")] = None,
    html: Annotated[Path | None, typer.Option(help="Report in one file, with texts.")] = None,
    runs: Annotated[Path | None, typer.Option(help="Folder for TREC run files.")] = None,
) -> None:
    """What each stage of the search is worth on judged queries, before and after the rerank.

    Builds an index of the folder for the while, on the cluster at OPENSEARCH_URL or else on one
    that is started; or searches the one behind --alias. Progress goes to stderr; the last line of
    stdout is one line of JSON. Exit codes: 0; 2: an option, the data or a model must be mended; 4:
    the cluster failed; 130: interrupted; 1: anything else.
    """
    progress = notes()
    with told_errors():
        for path in filter(None, (out, html)):
            require_writable(path)
        plan = Plan(
            data=data or data_of_environment(),
            split=split,
            encoder=encoder,
            reranker=reranker,
            schema=read_schema(schema) if schema else BEIR,
            alias=alias,
            depth=depth,
            rerank_depth=rerank_depth,
            blend=blend,
            depths=tuple(sorted({depth, deepest, *(one for one in Plan.depths if one <= deepest)})),
            method=fusion.value,
            lexical_weight=lexical_weight,
            relevant=relevant,
        )
        collection = read_collection(plan.data, plan.split)  # before a cluster is started for it
        with use_or_start() as settings, progress.status("reading") as status:
            measured = measure_quality(plan, collection, settings, status.update)
        result = measured.result
        if out is not None:
            write_result(result, out)
        if html is not None:
            write_report(measured, html, plan.examples)
        if runs is not None:
            write_runs(measured, runs)
    console().print(table(result))
    typer.echo(json.dumps(summary(result), separators=(",", ":")))


def table(result: QualityResult) -> Table:
    """Every system's means."""
    about = result.about
    shown = Table(title=f"{about.data} {about.split}: {about.queries} queries, depth {about.depth}")
    shown.add_column("system")
    names = (NDCG, CONDENSED, JUDGED, RECALL, CEILING)
    for name in names:
        shown.add_column(name, justify="right")
    for leg in ("lexical", "vector", "hybrid"):
        for system in (result.system(leg), result.system(AFTER.format(leg))):
            cells = [
                f"{mean.mean:.3f} [{mean.low:.3f}, {mean.high:.3f}]"
                if (mean := system.means.get(name))
                else ""
                for name in names
            ]
            # Brackets are markup to rich where they look like a tag.
            shown.add_row(system.name, *(cell.replace("[", r"\[") for cell in cells))
    return shown


def summary(result: QualityResult) -> dict[str, Any]:
    """What a machine wants to know."""
    return {
        "data": result.about.data,
        "queries": result.about.queries,
        "depth": result.about.depth,
        **{
            system.name: {name: round(mean.mean, 4) for name, mean in system.means.items()}
            for system in result.systems
        },
    }
