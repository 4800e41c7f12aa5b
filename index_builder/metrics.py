"""A run's figures for Prometheus: a file for node-exporter's textfile collector, or a push."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

from index_builder.report import Report
from rerank_core.errors import ConfigError

_PREFIX = "rerank_index_builder"


def write_metrics(path: Path, report: Report) -> None:
    """Whole or not at all: the collector may read at any moment. Raises `ConfigError`."""
    staged = path.with_name(f".{path.name}.new")
    try:
        staged.write_text("".join(f"{line}\n" for line in _lines(report)), encoding="utf-8")
        staged.replace(path)
    except OSError as error:
        raise ConfigError(f"metrics file {path}: {error.strerror}; name another") from error


def _lines(report: Report) -> Iterator[str]:
    alias = f'alias="{report.alias}"'
    figures = {
        "last_run_timestamp_seconds": (time.time(), "When the run ended."),
        "swapped": (int(report.swapped), "1 where the alias moved, 0 where a gate failed."),
        "documents": (report.documents, "Documents of the fresh index."),
        "rejected_rows": (report.rejected, "Rows that are not in it."),
        "retries": (report.retries, "Items and requests sent again."),
        "sent_bytes": (report.sent_bytes, "In bulk requests."),
        "duration_seconds": (report.seconds, "Of the run."),
        "builder_cpu_seconds": (report.builder_cpu_s, "Processor time of the builder."),
        "cluster_cpu_seconds": (report.cluster_cpu_s, "Processor time of the nodes meanwhile."),
    }
    for name, (value, meaning) in figures.items():
        yield f"# HELP {_PREFIX}_{name} {meaning}"
        yield f"# TYPE {_PREFIX}_{name} gauge"
        yield (
            f"{_PREFIX}_{name}{{{alias}}} {value:.6g}"
            if name != "last_run_timestamp_seconds"
            else f"{_PREFIX}_{name}{{{alias}}} {value:.0f}"
        )
    yield f"# HELP {_PREFIX}_gate 1 passed, 0 failed; what did not run is not here."
    yield f"# TYPE {_PREFIX}_gate gauge"
    for gate in report.gates:
        if gate.verdict != "not run":
            yield f'{_PREFIX}_gate{{{alias},gate="{gate.name}"}} {int(gate.verdict == "passed")}'
