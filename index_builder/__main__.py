"""`python -m index_builder`: a catalogue in, a searchable index out."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from index_builder.interrupts import Terminated, sigterm_interrupts
from index_builder.mapping import VectorEngine
from index_builder.progress import Progress
from index_builder.rebuild import Plan, build
from index_builder.schema import BEIR, read_schema
from rerank_core.cluster.connection import connect
from rerank_core.cluster.settings import ClusterSettings
from rerank_core.errors import ClusterError, InputError, RerankError, SetupError

# A full bulk request and the refresh of a large index take longer than a search.
_TIMEOUT_S = 300.0
_INTERRUPTED, _TERMINATED = 130, 143
_EXIT_CODES = {SetupError: 2, InputError: 3, ClusterError: 4}

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
)


@app.callback()
def main() -> None:
    """Writes catalogues into k-NN indexes that the sidecar searches and reranks."""


@app.command()
def rebuild(  # noqa: PLR0913, PLR0917  one a command line option
    catalogue: Annotated[
        Path, typer.Argument(help="JSONL or CSV (also .gz, .bz2, .zst), Parquet, or a BEIR folder.")
    ],
    alias: Annotated[
        str, typer.Option(help="Name that searches use; it moves to the new index at the end.")
    ],
    schema: Annotated[
        Path | None,
        typer.Option(help="TOML file: fields, types, columns. Default: the names of BEIR."),
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
    vector_engine: Annotated[
        VectorEngine, typer.Option(help="faiss needs k-NN with its native library.")
    ] = Plan.vector_engine,
    shards: Annotated[int, typer.Option(min=1)] = Plan.shards,
    replicas: Annotated[int, typer.Option(min=0, help="Once loaded.")] = Plan.replicas,
) -> None:
    """Builds a fresh index of a catalogue and moves the alias to it; the old index stays.

    The cluster is at OPENSEARCH_URL (OPENSEARCH_USER, OPENSEARCH_PASSWORD, OPENSEARCH_CA).
    Progress goes to stderr; stdout is one line of JSON. A bad row never stops a build: it goes
    to the rejects file with its line and reason.

    Exit codes; unless it is 0, searches go on as before:

    * 0: the alias stands for the new index
    * 2: an option, a file, a model or the alias must be mended
    * 3: the catalogue has no good row
    * 4: the cluster failed
    * 130: interrupted by Ctrl-C; 143: by SIGTERM
    * 1: anything else
    """
    progress = Progress(Console(stderr=True))
    try:
        plan = Plan(
            catalogue=catalogue,
            alias=alias,
            schema=read_schema(schema) if schema else BEIR,
            encoder=encoder,
            reranker=reranker,
            rejects=rejects,
            vector_engine=vector_engine,
            shards=shards,
            replicas=replicas,
        )
        settings = replace(ClusterSettings.from_environment(), timeout_s=_TIMEOUT_S)
        with sigterm_interrupts(), connect(settings) as client:
            report = build(plan, client, progress)
    except RerankError as error:
        progress.note(f"index_builder: {error}")
        raise typer.Exit(_exit_code(error)) from error
    except KeyboardInterrupt as interrupt:
        progress.note("index_builder: interrupted")
        code = _TERMINATED if isinstance(interrupt, Terminated) else _INTERRUPTED
        raise typer.Exit(code) from interrupt
    for line in report.lines():
        progress.note(line)
    print(json.dumps(asdict(report)))


def _exit_code(error: RerankError) -> int:
    return next((code for kind, code in _EXIT_CODES.items() if isinstance(error, kind)), 1)


if __name__ == "__main__":
    app(prog_name="python -m index_builder")
