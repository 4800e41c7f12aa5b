"""`python -m benchmarks compare`, `report` and `readme`: their options."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, get_args

import typer
from rich.table import Table

from benchmarks.ending import MEND, SLOWER, console, notes, told_errors
from benchmarks.points import read_suite
from benchmarks.report.changes import REGRESSIONS, Change, Word, changes, not_asked
from benchmarks.report.page import page
from benchmarks.report.readme import block, put
from benchmarks.results import read_result, require_writable

_ROOT = Path(__file__).parents[2]
_SERVING = Path("docs/results/serving-zen3-2cores.json")


def compare(
    before: Annotated[Path, typer.Argument(help="Result file of `run`.")],
    after: Annotated[Path, typer.Argument(help="Another, of the same machine.")],
    threshold: Annotated[float, typer.Option(min=0, help="A change by less is none.")] = 0.10,
) -> None:
    """Two result files, point by point; exit code 3 where one became slower or worse, or is gone.

    Slower, or worse in what is reranked whole and in time: significant after Holm's correction over
    the scenario, and by more than the threshold. Two files were made at different times: what the
    machine did then is in them. `guard` measures both builds in one run.
    """
    with told_errors():
        old, new = read_suite(before), read_suite(after)
        found = changes(old, new, threshold)
    answers = console()
    answers.print(_table(found))
    for name in not_asked(old, new):
        notes().print(f"not compared: {name}, which {after} does not have", markup=False)
    faulted = sum(one.word == "faulted" for one in found)
    if faulted:
        notes().print(f"{faulted} points have faults in either file and decide nothing")
    line = {word: sum(one.word == word for one in found) for word in get_args(Word)}
    print(json.dumps(line, separators=(",", ":")))  # noqa: T201  the answer
    if any(one.word in REGRESSIONS for one in found):
        raise typer.Exit(SLOWER)


def _table(found: list[Change]) -> Table:
    table = Table(
        title="medians of ms, shares, answers a second; ratio: after by before",
        title_justify="left",
    )
    for name in ("scenario", "point", "of"):
        table.add_column(name)
    for name in ("before", "after", "ratio", "95 %", "p (Holm)", ""):
        table.add_column(name, justify="right")
    for one in found:
        if not one.of:
            table.add_row(one.scenario, one.point, *("",) * 6, one.word)
            continue
        digits = 3 if one.of == "share kept" else 1
        table.add_row(
            one.scenario,
            one.point,
            one.of,
            f"{one.before:.{digits}f}",
            f"{one.after:.{digits}f}",
            f"{one.ratio:.3f}",
            f"{one.low:.2f}..{one.high:.2f}",
            f"{one.p_value:.2g}",
            one.word,
        )
    return table


def report(
    result: Annotated[Path, typer.Argument(help="Result file of `run`.")],
    out: Annotated[Path, typer.Argument(help="HTML file to write.")],
    engine: Annotated[
        list[Path] | None,
        typer.Option(help="Result file of `engine` with peers; repeatable."),
    ] = None,
) -> None:
    """One self-contained HTML page with figures and tables."""
    with told_errors():
        require_writable(out)
        made = page(read_suite(result), [read_result(one) for one in engine or []])
        out.write_text(made, encoding="utf-8")
    line = {"page": str(out), "bytes": len(made.encode("utf-8"))}
    print(json.dumps(line, separators=(",", ":")))  # noqa: T201  the answer


def readme(
    result: Annotated[Path, typer.Option(help="Committed result file.")] = _SERVING,
    file: Annotated[Path, typer.Option(help="Holds the marks.")] = Path("README.md"),
    *,
    write: Annotated[bool, typer.Option("--write", help="Else it is only compared.")] = False,
) -> None:
    """The README's figures of serving, made from a committed result file.

    Exit code 2 where they are not what the file says.
    """
    with told_errors():
        text = (_ROOT / file).read_text(encoding="utf-8")
        made = put(text, block(read_suite(_ROOT / result), result.as_posix()), file)
        if write:
            (_ROOT / file).write_text(made, encoding="utf-8")
    same = made == text
    line = {"file": str(file), "up_to_date": same, "written": write and not same}
    print(json.dumps(line, separators=(",", ":")))  # noqa: T201  the answer
    if not same and not write:
        notes().print(f"{file}: run python -m benchmarks readme --write", markup=False)
        raise typer.Exit(MEND)
