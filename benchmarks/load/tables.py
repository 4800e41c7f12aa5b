"""Runs as a table for a terminal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rich.table import Table

from benchmarks.load.samples import LoadRun, percentiles


def load_table(runs: Sequence[LoadRun]) -> Table:
    """One row an offered rate; a run that is not to be believed is marked, with its reasons."""
    plan = runs[0].plan
    loop = "open loop" if plan.open_loop else f"closed loop of {plan.callers} callers"
    table = Table(
        title=f"{plan.workload} over {plan.surface}, {loop}, budget {plan.budget_ms:g} ms",
        title_justify="left",
    )
    for name in ("offered/s", "reached/s", "goodput/s", "full", "degraded", "errors"):
        table.add_column(name, justify="right")
    table.add_column("latency of whole answers, ms")
    table.add_column("service of all, ms")
    table.add_column("not valid because, or unstable")
    for run in runs:
        outcomes = run.outcomes
        table.add_row(
            f"{run.plan.rate_qps:g}" if run.plan.open_loop else "",
            f"{run.reached_qps:.1f}",
            f"{run.goodput_qps:.1f}",
            *(str(outcomes[name]) for name in ("full", "degraded", "error")),
            _cells(run.full_ms),
            _cells(run.service_ms),
            "; ".join(run.faults() + run.warnings()),
        )
    return table


def load_summary(runs: Sequence[LoadRun]) -> dict[str, Any]:
    """The last line of the output."""
    return {
        f"{run.plan.workload}, {run.plan.surface}, {_offered(run)}": {
            "reached_qps": round(run.reached_qps, 2),
            "goodput_qps": round(run.goodput_qps, 2),
            "full_ms": {name: round(ms, 2) for name, ms in percentiles(run.full_ms).items()},
            "valid": not run.faults(),
        }
        for run in runs
    }


def _offered(run: LoadRun) -> str:
    plan = run.plan
    return f"{plan.rate_qps:g}/s" if plan.open_loop else f"{plan.callers} callers"


def _cells(values_ms: Sequence[float]) -> str:
    if not values_ms:
        return ""
    return ", ".join(f"{name} {ms:.1f}" for name, ms in percentiles(values_ms).items())
