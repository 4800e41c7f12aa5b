"""`pipelines`: the cluster's own rerank processor calls the sidecar."""

from __future__ import annotations

import os
from enum import StrEnum
from typing import Annotated

import typer

from index_builder.commands.outcome import answer, cluster_settings, ending, failed_verdict
from index_builder.pipelines import KEY, StockRerank, push_pipeline
from rerank_core.cluster.connection import connect

pipelines = typer.Typer(no_args_is_help=True, help="OpenSearch's own rerank, by the sidecar.")


class _Fusion(StrEnum):
    NONE = "none"
    MINMAX = "minmax"
    RRF = "rrf"


@pipelines.callback()
def describe() -> None:
    """A search pipeline that reranks through the sidecar; nothing is installed on the cluster."""


@pipelines.command()
def push(  # noqa: PLR0913, PLR0917  one a command line option
    sidecar: Annotated[
        str, typer.Option(help="HTTP address of the sidecar as the cluster's nodes reach it.")
    ],
    alias: Annotated[
        str | None, typer.Option(help="Whose index must hold the field. Default: not looked at.")
    ] = None,
    name: Annotated[str, typer.Option(help="Of the search pipeline.")] = "rerank",
    field: Annotated[str, typer.Option(help="What is read of each hit.")] = StockRerank.text_field,
    model: Annotated[str, typer.Option(help="Of the sidecar. Default: its default.")] = "",
    read_timeout_s: Annotated[
        int, typer.Option(min=1, help="Then a search goes on without.")
    ] = StockRerank.read_timeout_s,
    fusion: Annotated[
        _Fusion, typer.Option(help="Of a hybrid query's parts, before the rerank.")
    ] = _Fusion.NONE,
    private_address: Annotated[
        bool | None,
        typer.Option(
            "--private-address/--public-address",
            help="Let connectors call private addresses. Default: as the address is written.",
        ),
    ] = None,
    *,
    untried: Annotated[
        bool, typer.Option("--untried", help="Also where the sidecar does not answer.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Answer in JSON.")] = False,
) -> None:
    """Creates or updates settings, connector, model and pipeline; again, and nothing changes.

    The sidecar's key, where it asks for one, is read from RERANK_API_KEY. Exit code 5: the sidecar
    did not answer through the cluster, so the pipeline was not touched.
    """
    with ending(), connect(cluster_settings()) as client:
        stock = StockRerank(
            name=name,
            sidecar=sidecar,
            text_field=field,
            model=model,
            read_timeout_s=read_timeout_s,
            fusion=fusion.value,
            key=os.environ.get(KEY, ""),
        )
        private = stock.at_private_address if private_address is None else private_address
        pushed = push_pipeline(client, stock, alias=alias, private=private, untried=untried)
    answer(pushed, pushed.lines(), as_json=as_json)
    if pushed.fault:
        failed_verdict()
