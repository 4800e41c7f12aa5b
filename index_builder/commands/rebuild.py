"""`rebuild`: a fresh index of a catalogue."""

from __future__ import annotations

from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from index_builder.commands.outcome import answer, cluster_settings, ending, failed_verdict
from index_builder.gates import GateBounds
from index_builder.metrics import write_metrics
from index_builder.plan import Plan
from index_builder.rebuild import build
from index_builder.schema import BEIR, read_schema
from index_builder.sending import SendLimits
from rerank_core.cluster.connection import connect
from rerank_core.cluster.vectors import VectorEngine

_BUILD, _INDEX, _GATES, _SENDING = "Build", "Index", "Gates", "Sending"


class _Format(StrEnum):
    JSONL = "jsonl"
    CSV = "csv"


class _Duplicates(StrEnum):
    REFUSE = "refuse"
    LAST = "last"


def rebuild(  # noqa: PLR0913, PLR0917  one a command line option
    catalogue: Annotated[
        list[str],
        typer.Argument(
            help="JSONL or CSV (also .gz, .bz2, .zst), Parquet, globs, a BEIR folder; - for "
            "standard input; index:NAME to encode an index anew."
        ),
    ],
    alias: Annotated[
        str, typer.Option(help="Name that searches use; it moves to the new index at the end.")
    ],
    schema: Annotated[
        Path | None,
        typer.Option(
            help="TOML file: fields, types, columns, synonyms, vector. Default: BEIR's names."
        ),
    ] = None,
    encoder: Annotated[
        str, typer.Option(help="Bi-encoder of the vectors: minilm, or a model folder.")
    ] = Plan.encoder,
    reranker: Annotated[
        str, typer.Option(help="Cross-encoder that will read the products: student, or a folder.")
    ] = Plan.reranker,
    rejects: Annotated[
        Path | None, typer.Option(help="Rows left out. Default: INDEX.rejects.jsonl, here.")
    ] = None,
    max_rejects: Annotated[
        int | None, typer.Option(min=0, help="More than these fail the build before the swap.")
    ] = None,
    duplicates: Annotated[
        _Duplicates, typer.Option(help="A key's further rows: rejected, or the last one counts.")
    ] = _Duplicates.REFUSE,
    stdin_format: Annotated[
        _Format, typer.Option("--format", help="Of standard input.")
    ] = _Format.JSONL,
    changes: Annotated[
        Path | None, typer.Option(help="JSONL that live changes are appended to; replayed.")
    ] = None,
    checkpoint: Annotated[
        Path | None, typer.Option(help="Default: ALIAS.checkpoint, here.")
    ] = None,
    vector_engine: Annotated[
        VectorEngine | None,
        typer.Option(
            help="Instead of the schema's. faiss needs k-NN with its native library.",
            rich_help_panel=_INDEX,
        ),
    ] = None,
    shards: Annotated[int, typer.Option(min=1, rich_help_panel=_INDEX)] = Plan.shards,
    replicas: Annotated[
        int, typer.Option(min=0, help="Once loaded.", rich_help_panel=_INDEX)
    ] = Plan.replicas,
    segments: Annotated[
        int, typer.Option(min=0, help="A shard, at the end; 0: as is.", rich_help_panel=_INDEX)
    ] = Plan.segments,
    min_ratio_to_live: Annotated[
        float, typer.Option(help="Documents, new by live.", rich_help_panel=_GATES)
    ] = GateBounds.min_ratio_to_live,
    min_recall: Annotated[
        float, typer.Option(help="Lower 95 % bound of recall@10.", rich_help_panel=_GATES)
    ] = GateBounds.min_recall,
    depth: Annotated[
        int, typer.Option(help="Candidates that searches ask for.", rich_help_panel=_GATES)
    ] = GateBounds.depth,
    queries: Annotated[
        Path | None,
        typer.Option(help="Real ones: BEIR folder, JSONL, text.", rich_help_panel=_GATES),
    ] = None,
    judged: Annotated[
        Path | None,
        typer.Option(help="BEIR folder: nDCG@10 not below live.", rich_help_panel=_GATES),
    ] = None,
    judged_split: Annotated[str, typer.Option(rich_help_panel=_GATES)] = GateBounds.judged_split,
    health_wait_s: Annotated[
        float, typer.Option(min=0, help="For all copies to be there.", rich_help_panel=_GATES)
    ] = GateBounds.health_wait_s,
    in_flight: Annotated[
        int, typer.Option(min=1, help="Requests at most.", rich_help_panel=_SENDING)
    ] = SendLimits.most_in_flight,
    patience_s: Annotated[
        float,
        typer.Option(
            help="Until a cluster that does not answer is given up.", rich_help_panel=_SENDING
        ),
    ] = SendLimits.patience_s,
    templates: Annotated[
        Path | None,
        typer.Option(help="Folder of search templates. Default: those of this package."),
    ] = None,
    metrics: Annotated[
        Path | None, typer.Option(help="Prometheus text file, written at the end.")
    ] = None,
    *,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on where a killed build was.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Answer in JSON.")] = False,
) -> None:
    """Builds a fresh index of a catalogue, checks it, and moves the alias to it.

    The old index stays. A bad row never stops a build: it goes to the rejects file with its line
    and reason. Where a gate fails the alias is not touched, and the exit code is 5.
    """
    with ending() as progress:
        read = read_schema(schema) if schema else BEIR
        if vector_engine is not None:
            read = replace(read, vector=replace(read.vector, engine=vector_engine))
        plan = Plan(
            catalogue=tuple(catalogue),
            alias=alias,
            schema=read,
            encoder=encoder,
            reranker=reranker,
            rejects=rejects,
            checkpoint=checkpoint,
            stdin_format=stdin_format.value,
            duplicates=duplicates.value,
            max_rejects=max_rejects,
            changes=changes,
            shards=shards,
            replicas=replicas,
            segments=segments,
            templates=templates,
            resume=resume,
            gates=GateBounds(
                min_ratio_to_live=min_ratio_to_live,
                min_recall=min_recall,
                depth=depth,
                queries=queries,
                judged=judged,
                judged_split=judged_split,
                health_wait_s=health_wait_s,
            ),
            limits=SendLimits(most_in_flight=in_flight, patience_s=patience_s),
        )
        settings = cluster_settings()
        with connect(settings) as client:
            report = build(plan, client, settings, progress)
        if metrics is not None:
            write_metrics(metrics, report)
        for line in report.lines() if as_json else ():
            progress.note(line)
    answer(report, report.lines(), as_json=as_json)
    if not report.swapped:
        failed_verdict()
