"""`python -m demo`: a made-up catalogue, and the walk-through of the whole funnel."""

from __future__ import annotations

import signal
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from demo import catalogue
from demo.stack import Models
from demo.walkthrough import Plan, walk_through
from rerank_client import ClientError
from rerank_core.errors import RerankError

_WIDTH_IN_A_FILE = 120

app = typer.Typer(
    help=__doc__, no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False
)


@app.command()
def make_catalogue(
    folder: Annotated[Path, typer.Argument(help="Where to write; new, or a made-up one before.")],
    products: Annotated[int, typer.Option(help="How many products.")] = catalogue.DEFAULT_PRODUCTS,
    queries: Annotated[int, typer.Option(help="How many queries.")] = catalogue.DEFAULT_QUERIES,
    seed: Annotated[int, typer.Option(help="Equal seeds, equal bytes.")] = catalogue.DEFAULT_SEED,
) -> None:
    """Write a made-up catalogue with graded queries as a BEIR folder."""
    catalogue.write_catalogue(folder, products=products, queries=queries, seed=seed)
    print(f"{folder}: {products} made-up products, {queries} graded queries")


@app.command()
def run(
    data: Annotated[Path | None, typer.Option(help="BEIR folder; else one is made up.")] = None,
    split: Annotated[str, typer.Option(help="Which judgments: qrels/SPLIT.tsv.")] = Plan.split,
    reranker: Annotated[
        str, typer.Option(help="Cross-encoder: student, or a model folder.")
    ] = Models.reranker,
    encoder: Annotated[
        str, typer.Option(help="Bi-encoder: minilm, or a model folder.")
    ] = Models.encoder,
) -> None:
    """Index a catalogue, search and rerank it, and show what the rerank is worth.

    On the cluster that OPENSEARCH_URL names, else on one started for the while.
    """
    width = None if sys.stdout.isatty() else _WIDTH_IN_A_FILE
    plan = Plan(data=data, split=split, models=Models(reranker, encoder))
    walk_through(plan, Console(width=width))


def _stop(number: int, _: object) -> None:
    # As an exception, so that everything that was started is stopped on the way out.
    sys.exit(128 + number)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, _stop)
    try:
        app(prog_name="python -m demo")
    except (RerankError, ClientError) as error:
        sys.exit(f"demo: {error}")
