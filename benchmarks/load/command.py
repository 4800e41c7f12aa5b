"""`python -m benchmarks load`: its options."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from benchmarks.ending import console, data_of_environment, notes, told_errors
from benchmarks.engine.run import Plan
from benchmarks.load import run as runs
from benchmarks.load.tables import load_summary, load_table
from benchmarks.results import require_writable, write_result
from benchmarks.workload.traffic import read_traffic


def load(  # noqa: PLR0913, PLR0917  the options of a command
    target: Annotated[str, typer.Argument(help="host:port of a running sidecar.")],
    data: Annotated[
        Path | None,
        typer.Argument(help="BEIR folder. Default: $RERANK_DATA, or icecat in it."),
    ] = None,
    rate: Annotated[
        list[float] | None, typer.Option(help="Requests a second; repeatable. Default: 5.")
    ] = None,
    surface: Annotated[str, typer.Option(help="grpc or http.")] = "grpc",
    text: Annotated[str, typer.Option(help="W1: titles; W2: titles and text.")] = "W1",
    duration_s: Annotated[float, typer.Option(help="Of each run, warm-up included.")] = 30.0,
    budget_ms: Annotated[float, typer.Option(help="Deadline of each request.")] = 200.0,
    candidates: Annotated[int, typer.Option(min=1, help="Products a query.")] = Plan.candidates,
    requests: Annotated[int, typer.Option(min=1, help="Distinct ones; they take turns.")] = 50,
    shape: Annotated[
        str, typer.Option(help="Relative rates of equal slices, such as 1,4,1.")
    ] = "1",
    callers: Annotated[
        int, typer.Option(min=0, help="Closed loop of so many callers; 0: open loop.")
    ] = 0,
    workload: Annotated[
        Path | None,
        typer.Option(help="A workload file to replay; --text, --shape and numbers are its own."),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="JSON file for the raw samples.")] = None,
) -> None:
    """A running sidecar under load: latency from the intended send time, and goodput.

    The client is a process of its own; a run says why where its figures are not to be believed.
    The server's score cache answers repeats: switch it off, or give --requests enough. Exit codes
    as of all commands: `benchmarks.ending`.
    """
    with told_errors():
        if out is not None:
            require_writable(out)
        asked = (
            runs.workload(
                data or data_of_environment(), text, requests=requests, candidates=candidates
            )
            if workload is None
            else read_traffic(workload)
        )
        result = runs.measure(
            runs.plan(
                target=target,
                surface=surface,
                workload=asked.name,
                duration_s=duration_s,
                budget_ms=budget_ms,
                shape=shape,
                callers=callers,
            ),
            rates=rate or [5.0],
            workload=asked,
            tell=lambda message: notes().print(message, markup=False, soft_wrap=True),
        )
        if out is not None:
            write_result(result, out)
    console().print(load_table(result.runs))
    line = json.dumps(load_summary(result.runs), separators=(",", ":"))
    print(line)  # noqa: T201  the answer
