"""`python -m benchmarks training`: its options and its table."""

from __future__ import annotations

import json
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table

from benchmarks.ending import console, data_root, notes, told_errors
from benchmarks.results import require_writable, write_result
from benchmarks.statistics import spread

if TYPE_CHECKING:
    from benchmarks.training.run import TrainingResult


def training(
    data: Annotated[
        Path | None, typer.Argument(help="BEIR folder. Default: $RERANK_DATA/homedepot.")
    ] = None,
    steps: Annotated[int, typer.Option(min=2, help="Of 64 pairs.")] = 80,
    rounds: Annotated[int, typer.Option(min=1, help="Interleaved.")] = 3,
    layers: Annotated[int, typer.Option(min=1, max=6, help="Of the student.")] = 3,
    out: Annotated[
        Path | None,
        typer.Option(help="JSON file for the raw samples, written anew after each round."),
    ] = None,
) -> None:
    """Our training loop beside sentence-transformers' CrossEncoderTrainer, interleaved.

    The same weights, lists, rates and loss. The last line of stdout is one line of JSON. Exit
    codes: 0; 2: an option or the data must be mended; 130: interrupted; 1: anything else.
    """
    from benchmarks.training import run  # noqa: PLC0415 - torch loads only for work

    with told_errors():
        if out is not None:
            require_writable(out)
        plan = run.Plan(data or data_root() / "homedepot", steps, rounds, layers)
        progress = notes()
        for result in run.measure(plan, lambda line: progress.print(line, highlight=False)):
            if out is not None:
                write_result(result, out)
    console().print(_table(result, (run.OURS, run.TRAINER)))
    typer.echo(json.dumps(_summary(result, (run.OURS, run.TRAINER))))


def _table(result: TrainingResult, names: tuple[str, str]) -> Table:
    machine = result.machine
    title = (
        f"{result.layers} layers, {result.steps} steps of {result.pairs_a_step} pairs of "
        f"{result.data}; {machine.processor}, {machine.cores} cores"
    )
    table = Table("loop", "pairs/s", "margin error on dev", "pairwise accuracy", title=title)
    for name in names:
        samples = result.of(name)
        speed = spread([one.pairs_per_s for one in samples])
        table.add_row(
            name,
            f"{speed.median:.1f} [{speed.least:.1f}, {speed.most:.1f}]",
            f"{median(one.margin_error for one in samples):.4f}",
            f"{median(one.pairwise_accuracy for one in samples):.4f}",
        )
    times = result.times_faster
    table.caption = f"{times.median:.2f} times [{times.least:.2f}, {times.most:.2f}] as fast"
    return table


def _summary(result: TrainingResult, names: tuple[str, str]) -> dict[str, Any]:
    times = result.times_faster
    return {
        "times_faster": {
            "median": round(times.median, 3),
            "least": round(times.least, 3),
            "most": round(times.most, 3),
        },
        "loops": {
            name: {
                measure: round(median(getattr(one, measure) for one in result.of(name)), 4)
                for measure in ("pairs_per_s", "margin_error", "pairwise_accuracy")
            }
            for name in names
        },
    }
