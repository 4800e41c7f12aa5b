"""`python -m benchmarks workload`: its options."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from benchmarks.ending import data_of_environment, told_errors
from benchmarks.load.run import numbers
from benchmarks.results import require_writable
from benchmarks.workload.draw import KINDS, Wish, draw
from benchmarks.workload.traffic import write_traffic
from rerank_core.measures import BeirFolder


def workload(  # noqa: PLR0913, PLR0917  the options of a command
    out: Annotated[Path, typer.Argument(help="File to write, such as titles.jsonl.gz.")],
    data: Annotated[
        Path | None, typer.Option(help="BEIR folder. Default: $RERANK_DATA, or icecat in it.")
    ] = None,
    queries: Annotated[
        Path | None, typer.Option(help="File with a query a line. Default: the folder's.")
    ] = None,
    kind: Annotated[str, typer.Option(help=f"{', '.join(KINDS)}.")] = Wish.kind,
    turns: Annotated[int, typer.Option(min=1, help="Requests.")] = Wish.turns,
    questions: Annotated[int, typer.Option(min=1, help="Distinct ones.")] = 50,
    candidates: Annotated[
        str, typer.Option(help="Products a query; several, such as 10,100,1000, take turns.")
    ] = "100",
    zipf: Annotated[
        float, typer.Option(min=0, help="Exponent of the queries' popularity; 0: all equal.")
    ] = Wish.zipf,
    batch_share: Annotated[
        float, typer.Option(min=0, max=1, help="Requests of the lower priority.")
    ] = Wish.batch_share,
    shape: Annotated[
        str, typer.Option(help="Relative rates of equal slices, such as 1,1,6,1.")
    ] = "1",
    seed: Annotated[int, typer.Option(help="Equal seeds, equal bytes.")] = Wish.seed,
) -> None:
    """Writes a workload that `load --workload FILE` replays, request by request.

    The file holds texts of the catalogue: what may be done with those may be done with it.
    """
    with told_errors():
        require_writable(out)
        wish = Wish(
            kind=kind,
            turns=turns,
            questions=questions,
            candidates=tuple(int(one) for one in numbers("candidates", candidates)),
            zipf=zipf,
            batch_share=batch_share,
            shape=numbers("shape", shape),
            seed=seed,
        )
        traffic = draw(BeirFolder(data or data_of_environment()), wish, queries)
        write_traffic(traffic, out)
    print(json.dumps(asdict(traffic.header), separators=(",", ":")))  # noqa: T201  the answer
