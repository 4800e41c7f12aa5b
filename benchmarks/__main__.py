"""`python -m benchmarks`: quality and latency on real parts."""

from __future__ import annotations

import json
import signal
import sys
from pathlib import Path
from typing import Annotated

import typer

from benchmarks.analyzers.command import analyzers
from benchmarks.capacity.command import plan
from benchmarks.ending import DATA, FIRST_SET, console, data_of_environment, notes, told_errors
from benchmarks.engine.run import Plan, Section, measure
from benchmarks.engine.tables import (
    absent_table,
    foretold_table,
    machine_lines,
    profile_table,
    summary,
    trial_table,
)
from benchmarks.fusion.command import fusion
from benchmarks.guard.command import guard
from benchmarks.index.command import index
from benchmarks.load.command import load
from benchmarks.quality.command import quality
from benchmarks.report.command import compare, readme, report
from benchmarks.results import require_writable, write_result
from benchmarks.scenarios.command import run
from benchmarks.training.command import training
from benchmarks.workload.command import workload

_QUICK_ROUNDS = 3
_QUICK_SECTIONS = (Section.FORWARD, Section.TOKENISING, Section.PROFILE)

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)


@app.callback()
def describe() -> None:
    """Measures speed and quality on real parts; raw samples go to a file of their own."""


for command in (run, load, workload, compare, guard, report, plan, readme, index, quality, fusion):
    app.command()(command)
app.command()(training)
app.command()(analyzers)


@app.command()
def engine(
    data: Annotated[
        Path | None,
        typer.Argument(help=f"BEIR folder. Default: ${DATA}, or {FIRST_SET} in it."),
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
    answers, progress = console(), notes()
    with told_errors():
        if out is not None:
            require_writable(out)
        wanted = Plan(
            data=data or data_of_environment(),
            model=model,
            sections=tuple(section or (_QUICK_SECTIONS if quick else tuple(Section))),
            rounds=rounds or (_QUICK_ROUNDS if quick else Plan.rounds),
            candidates=candidates,
            requests=1 if quick else Plan.requests,
        )
        with progress.status("loading") as status:
            result = measure(
                wanted,
                status.update,
                lambda trial: answers.print(trial_table(trial)),
                lambda found: None if out is None else write_result(found, out),
            )
    if result.profiles:
        answers.print(profile_table(result.profiles))
    if result.foretold:
        answers.print(foretold_table(result.foretold))
    if result.absent:
        answers.print(absent_table(result))
    for line in machine_lines(result):
        answers.print(line, markup=False, highlight=False, soft_wrap=True)
    print(json.dumps(summary(result), separators=(",", ":")))


def _stop(number: int, _: object) -> None:
    # As an exception, so that everything that was started is stopped on the way out.
    sys.exit(128 + number)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, _stop)
    app(prog_name="python -m benchmarks")
