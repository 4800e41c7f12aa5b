"""What is said while an index is built."""

from __future__ import annotations

import io
from dataclasses import replace

import pytest
from rich.console import Console

from index_builder.progress import Progress
from index_builder.report import Report
from index_builder.sending import Sent
from rerank_core.cluster.release import GateRecord


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time, to be set."""
    now = [0.0]
    monkeypatch.setattr("index_builder.progress.time.monotonic", lambda: now[0])
    return now


def test_nobody_waits_five_seconds_without_a_word(clock: list[float]) -> None:
    """Texts, documents, retries and time left; what was written is always said."""
    said = io.StringIO()
    progress = Progress(Console(file=said))
    progress.begin(total_bytes=1000)
    sent = Sent()
    for now_s in (1, 4, 6, 8, 12):
        clock[0] = now_s
        progress.encoded(256)
        progress.read(100)
    clock[0] = 20
    sent.written, sent.retries = 400, 7
    progress.sending(sent)
    progress.written(1300)

    assert said.getvalue().splitlines() == [
        "  768 texts encoded, 0 documents, 0 a second, about 24 s left",
        "  1,280 texts encoded, 0 documents, 0 a second, about 18 s left",
        "  1,280 texts encoded, 400 documents, 20 a second, 7 retries, about 20 s left",
        "  1,300 documents, 65 a second",
    ]


def test_a_terminal_has_a_bar(clock: list[float]) -> None:
    """It is gone at the end, and the last word stays."""
    said = io.StringIO()
    progress = Progress(Console(file=said, force_terminal=True, width=80))
    progress.begin(total_bytes=None)
    progress.encoded(10)
    clock[0] = 1
    progress.written(10)
    progress.close()

    assert said.getvalue().rstrip().endswith("10 documents, 10 a second")


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
        swapped=True,
        numeric_path="onnxruntime",
        path_reason="no kernel was built",
        documents=1500,
        rejected=2,
        rejects_file="products-2.rejects.jsonl",
        unknown_columns=("weight", "size"),
        resumed_from=0,
        retries=3,
        requests=4,
        sent_bytes=5,
        seconds=20.0,
        documents_per_second=75.0,
        busy_s={"read": 1.0, "encode": 18.0, "write": 5.0},
        builder_cpu_s=30.0,
        cluster_cpu_s=6.0,
        gates=(GateRecord("recall", "failed", 0.9, 0.95, "low"),),
    )

    assert report.lines() == [
        "1,500 documents: 20.0 s, 75 a second",
        "vectors computed on onnxruntime: no kernel was built",
        "busy, side by side: read 1.0 s (5%), encode 18.0 s (90%), write 5.0 s (25%)",
        "processor: builder 30.0 s, cluster 6.0 s; 4 requests, 3 retries",
        "2 rows rejected, with reasons: products-2.rejects.jsonl",
        "columns that are not in the schema, so not in the index: weight, size",
        "alias products stands for products-2; products-1 stays",
    ]
    kept = replace(report, swapped=False, replaced=None)
    assert kept.lines()[-1] == "alias products was not touched: failed recall"
