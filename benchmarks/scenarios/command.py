"""`python -m benchmarks run`: its options."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from benchmarks.ending import console, data_root, notes, told_errors
from benchmarks.points import read_suite, write_suite
from benchmarks.results import require_writable
from benchmarks.scenarios.run import QUICK, Plan, Question, measure
from benchmarks.scenarios.tables import scenario_table, summary


def run(
    questions: Annotated[
        list[Question] | None, typer.Argument(metavar="[SCENARIO]...", help="Default: all.")
    ] = None,
    data: Annotated[
        Path | None, typer.Option(help="BEIR folder, or a folder of them. Default: $RERANK_DATA.")
    ] = None,
    model: Annotated[str, typer.Option(help="Cross-encoder: student, or a folder.")] = Plan.model,
    candidates: Annotated[int, typer.Option(min=1, help="Products a query.")] = Plan.candidates,
    numeric_path: Annotated[
        str | None,
        typer.Option(help="As RERANK_NUMERIC_PATH, such as cuda where there is a GPU."),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            help="JSON file for the raw samples. One that is there keeps its other scenarios."
        ),
    ] = None,
    *,
    quick: Annotated[bool, typer.Option("--quick", help="Under 10 minutes, less certain.")] = False,
) -> None:
    """Scenarios against real sidecar processes, on real texts.

    Progress goes to stderr; the last line of stdout is one line of JSON.
    """
    answers, progress = console(), notes()
    with told_errors():
        if out is not None:
            require_writable(out)
        plan = Plan(
            data=data or data_root(),
            questions=tuple(questions or (QUICK if quick else tuple(Question))),
            model=model,
            candidates=candidates,
            numeric_path=numeric_path,
            quick=quick,
        )
        into = read_suite(out) if out is not None and out.is_file() else None
        result = measure(
            plan,
            lambda message: progress.print(message, markup=False, soft_wrap=True),
            lambda scenario: answers.print(scenario_table(scenario)),
            lambda found: None if out is None else write_suite(found, out),
            into,
        )
    for one in result.absent:
        answers.print(f"not measured: {one.name}: {one.reason}", markup=False, soft_wrap=True)
    machine = result.machine
    answers.print(
        f"{machine.processor}; {machine.cores} cores; {' '.join(machine.flags)}; commit "
        f"{machine.commit}; model {result.model} {result.model_hash[:12]}, {result.numeric_path}",
        soft_wrap=True,
    )
    print(json.dumps(summary(result), separators=(",", ":")))  # noqa: T201  the answer
