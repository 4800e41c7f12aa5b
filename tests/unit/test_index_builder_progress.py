"""What is said while an index is built."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from index_builder.progress import Progress
from index_builder.report import Report


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time, to be set."""
    now = [0.0]
    monkeypatch.setattr("index_builder.progress.time.monotonic", lambda: now[0])
    return now


def test_nobody_waits_five_seconds_without_a_word(clock: list[float]) -> None:
    """Encoding speaks where nothing else does; what was written is always said."""
    said = io.StringIO()
    progress = Progress(Console(file=said))
    for now_s in (1, 4, 6, 8, 12):
        clock[0] = now_s
        progress.encoded(256)
    clock[0] = 13
    progress.written(1300)
    clock[0] = 17
    progress.encoded(256)

    assert said.getvalue().splitlines() == [
        "  768 texts encoded",
        "  1,280 texts encoded",
        "  1,300 documents, 100 a second",
    ]


def test_what_is_said_is_shown_as_it_is() -> None:
    """A path is no markup, and a long line stays one line."""
    said = io.StringIO()

    Progress(Console(file=said, width=40)).note("[bold]shop[/bold] " + "x" * 100)

    assert said.getvalue() == "[bold]shop[/bold] " + "x" * 100 + "\n"


def test_the_report_names_what_a_person_must_know() -> None:
    """Speed, shares of the time, rejected rows, unknown columns, and what stands where."""
    report = Report(
        alias="products",
        index="products-2",
        replaced="products-1",
        documents=1500,
        rejected=2,
        rejects_file="products-2.rejects.jsonl",
        unknown_columns=("weight", "size"),
        seconds=20.0,
        documents_per_second=75.0,
        busy_s={"read": 1.0, "encode": 18.0, "write": 5.0},
    )

    assert report.lines() == [
        "1,500 documents: 20.0 s, 75 a second",
        "busy, side by side: read 1.0 s (5%), encode 18.0 s (90%), write 5.0 s (25%)",
        "2 rows rejected, with reasons: products-2.rejects.jsonl",
        "columns that are not in the schema, so not in the index: weight, size",
        "alias products stands for products-2; products-1 stays",
    ]
