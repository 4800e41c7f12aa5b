"""`update` and `apply`: the live index changed in place."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from index_builder.apply import apply_changes
from index_builder.commands.outcome import answer, cluster_settings, ending
from index_builder.gates import GateBounds
from index_builder.plan import Plan
from index_builder.schema import BEIR, read_schema
from index_builder.update import update as update_index
from rerank_core.cluster.connection import connect

_Alias = Annotated[str, typer.Option(help="Name that searches use.")]
_Schema = Annotated[
    Path | None, typer.Option(help="TOML file the index was built with. Default: BEIR's names.")
]
_Encoder = Annotated[str, typer.Option(help="Bi-encoder that it was built with.")]
_Reranker = Annotated[str, typer.Option(help="Cross-encoder that it was built with.")]
_Rejects = Annotated[Path | None, typer.Option(help="Rows left out. Default: by index, here.")]
_Json = Annotated[bool, typer.Option("--json", help="Answer in JSON.")]


def update(  # noqa: PLR0913, PLR0917  one a command line option
    catalogue: Annotated[
        list[str], typer.Argument(help="As for rebuild: the whole catalogue, not its changes.")
    ],
    alias: _Alias,
    schema: _Schema = None,
    encoder: _Encoder = Plan.encoder,
    reranker: _Reranker = Plan.reranker,
    rejects: _Rejects = None,
    max_rejects: Annotated[
        int | None, typer.Option(min=0, help="More than these fail it before anything is deleted.")
    ] = None,
    min_ratio_to_live: Annotated[
        float, typer.Option(help="Nothing is deleted where less would be left.")
    ] = GateBounds.min_ratio_to_live,
    *,
    keep_missing: Annotated[bool, typer.Option("--keep-missing", help="Delete nothing.")] = False,
    as_json: _Json = False,
) -> None:
    """Brings the live index up to a catalogue: only what changed is encoded and written.

    What is gone from the catalogue is deleted. An unchanged catalogue costs no encoding.
    """
    with ending() as progress:
        plan = Plan(
            catalogue=tuple(catalogue),
            alias=alias,
            schema=read_schema(schema) if schema else BEIR,
            encoder=encoder,
            reranker=reranker,
            rejects=rejects,
            max_rejects=max_rejects,
            gates=GateBounds(min_ratio_to_live=min_ratio_to_live),
        )
        settings = cluster_settings()
        with connect(settings) as client:
            report = update_index(plan, client, settings, progress, keep_missing=keep_missing)
    answer(report, report.lines(), as_json=as_json)


def apply(
    changes: Annotated[Path, typer.Argument(help="JSONL: the key, and the columns that change.")],
    alias: _Alias,
    schema: _Schema = None,
    encoder: _Encoder = Plan.encoder,
    reranker: _Reranker = Plan.reranker,
    rejects: _Rejects = None,
    *,
    as_json: _Json = False,
) -> None:
    """Writes changes to the live index; null takes a value away, "_delete": true a product.

    A rebuild that runs takes the same file by --changes: append to the file, then apply it.
    """
    with ending() as progress:
        plan = Plan(
            catalogue=(),
            alias=alias,
            schema=read_schema(schema) if schema else BEIR,
            encoder=encoder,
            reranker=reranker,
            rejects=rejects,
            changes=changes,
        )
        settings = cluster_settings()
        with connect(settings) as client:
            report = apply_changes(plan, client, settings, progress)
    answer(report, report.lines(), as_json=as_json)
