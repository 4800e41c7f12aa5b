"""``python -m local_cluster run``: a node of one's own until Ctrl-C."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Literal

import typer

from local_cluster.distribution import DISTRIBUTIONS
from local_cluster.node import LocalCluster
from rerank_core.errors import RerankError

app = typer.Typer(add_completion=False, no_args_is_help=True)


@app.callback()
def main() -> None:
    """A real search cluster on this machine."""


@app.command()
def run(
    port: Annotated[int, typer.Option(min=0, max=65535, help="0: the system chooses.")] = 0,
    cache: Annotated[
        Path | None,
        typer.Option(envvar="RERANK_CACHE", help="Where the installed server is kept."),
    ] = None,
    kind: Annotated[
        Literal["opensearch", "opensearch-2.19", "elasticsearch"],
        typer.Option(help="Which server."),
    ] = "opensearch",
) -> None:
    """Starts a node, prints its url, and keeps it until Ctrl-C; its data is then gone."""
    try:
        with LocalCluster.start(
            cache=cache, port=port, distribution=DISTRIBUTIONS[kind]
        ) as cluster:
            print(cluster.url, flush=True)
            cluster.wait()
    except RerankError as error:
        sys.exit(f"error: {error}")
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    app()
