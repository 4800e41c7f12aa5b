"""`python -m benchmarks`: quality and latency on real parts."""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from benchmarks.engine.run import Plan, Section, measure
from benchmarks.engine.tables import (
    absent_table,
    foretold_table,
    machine_lines,
    profile_table,
    summary,
    trial_table,
)
from benchmarks.index.command import index
from benchmarks.load import run as load_run
from benchmarks.load.tables import load_summary, load_table
from benchmarks.results import require_writable, write_result
from rerank_core.errors import ConfigError, InputError, RerankError, SetupError

_DATA = "RERANK_DATA"
_FIRST_SET = "icecat"
_WIDTH_IN_A_FILE = 160
_MEND, _INTERRUPTED = 2, 130
_QUICK_ROUNDS = 3
_QUICK_SECTIONS = (Section.FORWARD, Section.TOKENISING, Section.PROFILE)

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)


@app.callback()
def describe() -> None:
    """Measures speed and quality on real parts; raw samples go to a file of their own."""


app.command()(index)


@app.command()
def engine(
    data: Annotated[
        Path | None,
        typer.Argument(help=f"BEIR folder. Default: ${_DATA}, or {_FIRST_SET} in it."),
    ] = None,
    model: Annotated[str, typer.Option(help="Cross-encoder: student, or a folder.")] = Plan.model,
    section: Annotated[
        list[Section] | None, typer.Option(help="Part to run; repeatable. Default: all.")
    ] = None,
    rounds: Annotated[
        int | None, typer.Option(min=1, help=f"Interleaved ones. Default: {Plan.rounds}.")
    ] = None,
    candidates: Annotated[int, typer.Option(min=1, help="Products a query.")] = Plan.candidates,
    out: Annotated[
        Path | None,
        typer.Option(help="JSON file for the raw samples, written anew after each trial."),
    ] = None,
    *,
    quick: Annotated[
        bool, typer.Option("--quick", help="3 rounds: forward, tokenising, profile.")
    ] = False,
) -> None:
    """The scoring engine beside a TEI-style policy and other rerankers, interleaved.

    Progress goes to stderr; the last line of stdout is one line of JSON. Exit codes: 0; 2: an
    option, the data or a model must be mended; 130: interrupted; 1: anything else.
    """
    console = Console(width=None if sys.stdout.isatty() else _WIDTH_IN_A_FILE)
    notes = Console(stderr=True)
    try:
        if out is not None:
            require_writable(out)
        plan = Plan(
            data=data or _data_of_environment(),
            model=model,
            sections=tuple(section or (_QUICK_SECTIONS if quick else tuple(Section))),
            rounds=rounds or (_QUICK_ROUNDS if quick else Plan.rounds),
            candidates=candidates,
            requests=1 if quick else Plan.requests,
        )
        with notes.status("loading") as status:
            result = measure(
                plan,
                status.update,
                lambda trial: console.print(trial_table(trial)),
                lambda found: None if out is None else write_result(found, out),
            )
    except RerankError as error:
        notes.print(f"benchmarks: {error}", markup=False, soft_wrap=True)
        wrong = isinstance(error, SetupError | InputError)
        raise typer.Exit(_MEND if wrong else 1) from error
    except KeyboardInterrupt as interrupt:
        notes.print("benchmarks: interrupted")
        raise typer.Exit(_INTERRUPTED) from interrupt
    if result.profiles:
        console.print(profile_table(result.profiles))
    if result.foretold:
        console.print(foretold_table(result.foretold))
    if result.absent:
        console.print(absent_table(result))
    for line in machine_lines(result):
        console.print(line, markup=False, highlight=False, soft_wrap=True)
    print(json.dumps(summary(result), separators=(",", ":")))


@app.command()
def load(  # noqa: PLR0913, PLR0917  the options of a command
    target: Annotated[str, typer.Argument(help="host:port of a running sidecar.")],
    data: Annotated[
        Path | None,
        typer.Argument(help=f"BEIR folder. Default: ${_DATA}, or {_FIRST_SET} in it."),
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
    out: Annotated[Path | None, typer.Option(help="JSON file for the raw samples.")] = None,
) -> None:
    """A running sidecar under load: latency from the intended send time, and goodput.

    The client is a process of its own; a run says why where its figures are not to be believed.
    The server's score cache answers repeats: switch it off, or give --requests enough. Exit codes
    as of `engine`.
    """
    console = Console(width=None if sys.stdout.isatty() else _WIDTH_IN_A_FILE)
    notes = Console(stderr=True)
    try:
        if out is not None:
            require_writable(out)
        result = load_run.measure(
            load_run.plan(
                target=target,
                surface=surface,
                workload=text,
                duration_s=duration_s,
                budget_ms=budget_ms,
                shape=shape,
                callers=callers,
            ),
            rates=rate or [5.0],
            workload=load_run.workload(
                data or _data_of_environment(), text, requests=requests, candidates=candidates
            ),
            tell=lambda message: notes.print(message, markup=False, soft_wrap=True),
        )
        if out is not None:
            write_result(result, out)
    except RerankError as error:
        notes.print(f"benchmarks: {error}", markup=False, soft_wrap=True)
        wrong = isinstance(error, SetupError | InputError)
        raise typer.Exit(_MEND if wrong else 1) from error
    except KeyboardInterrupt as interrupt:
        notes.print("benchmarks: interrupted")
        raise typer.Exit(_INTERRUPTED) from interrupt
    console.print(load_table(result.runs))
    print(json.dumps(load_summary(result.runs), separators=(",", ":")))


def _data_of_environment() -> Path:
    """Raises `ConfigError` where there is none."""
    root = os.environ.get(_DATA)
    if not root:
        raise ConfigError(
            "no data: give a BEIR folder (python -m benchmarks engine FOLDER), or set "
            f"{_DATA}; python -m demo make-catalogue FOLDER makes one up"
        )
    first = Path(root) / _FIRST_SET
    return first if first.is_dir() else Path(root)


def _stop(number: int, _: object) -> None:
    # As an exception, so that everything that was started is stopped on the way out.
    sys.exit(128 + number)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, _stop)
    app(prog_name="python -m benchmarks")
