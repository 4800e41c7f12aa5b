"""`python -m benchmarks guard`: its options."""

from __future__ import annotations

import json
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from benchmarks.ending import (
    SLOWER,
    UNDECIDED,
    console,
    data_of_environment,
    notes,
    told_errors,
)
from benchmarks.guard.builds import reference_build
from benchmarks.guard.run import take_turns
from benchmarks.guard.verdict import LEAST_BLOCKS, Ratio, judge
from benchmarks.results import require_writable, write_result
from benchmarks.serving import Build
from benchmarks.workload.draw import Wish, draw
from rerank_core.artifact import named_folder
from rerank_core.measures import BeirFolder


def guard(
    reference: Annotated[
        str, typer.Argument(help="A git revision, or a folder with an installed build.")
    ],
    data: Annotated[
        Path | None, typer.Option(help="BEIR folder. Default: $RERANK_DATA, or icecat in it.")
    ] = None,
    model: Annotated[str, typer.Option(help="Cross-encoder: student, or a folder.")] = "student",
    rounds: Annotated[
        int, typer.Option(min=LEAST_BLOCKS, help="Of four requests each, in eight blocks.")
    ] = 40,
    candidates: Annotated[int, typer.Option(min=1, help="Products a query.")] = 50,
    threshold: Annotated[
        float, typer.Option(min=0, help="Slower by less is none of its business.")
    ] = 0.05,
    out: Annotated[Path | None, typer.Option(help="JSON file for the raw rounds.")] = None,
) -> None:
    """This build beside a reference build in one run; exit code 3: slower, 5: not decided.

    Both serve the same model side by side and answer in turns, so that both share the machine's
    moods; no clock is compared with one of another day. Both are started anew eight times. Where it
    is not decided, more rounds or an idle machine may decide it.
    """
    progress = notes()
    with told_errors(), tempfile.TemporaryDirectory(prefix="rerank-guard-") as made:
        if out is not None:
            require_writable(out)
        folder = BeirFolder(data or data_of_environment())
        questions = min(rounds, len(folder.queries()))
        traffic = draw(folder, Wish(turns=rounds, questions=questions, candidates=(candidates,)))
        scratch = Path(made)
        progress.print(f"building {reference}", markup=False)
        result = take_turns(
            Build(),
            reference_build(reference, scratch),
            traffic,
            model=str(named_folder(model).resolve()),
            rounds=rounds,
            scratch=scratch,
            tell=lambda message: progress.print(message, markup=False),
        )
        if out is not None:
            write_result(result, out)
    verdict = judge(result.rounds, threshold)
    console().print(
        f"{verdict.word}, beside {reference}: median of rounds {_told(verdict.median)}, summed "
        f"times {_told(verdict.mean)}, both intervals together 99 %, {verdict.rounds} rounds in "
        f"{verdict.blocks} blocks, threshold {threshold:.0%}; load {result.load_before[0]:.1f} "
        "before",
        soft_wrap=True,
        markup=False,
    )
    print(json.dumps(asdict(verdict), separators=(",", ":")))  # noqa: T201  the answer
    code = {"slower": SLOWER, "undecided": UNDECIDED}.get(verdict.word)
    if code is not None:
        raise typer.Exit(code)


def _told(ratio: Ratio) -> str:
    return f"{ratio.ratio:.3f} ({ratio.low:.3f}..{ratio.high:.3f})"
