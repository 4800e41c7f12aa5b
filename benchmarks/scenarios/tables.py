"""Scenarios as tables for a terminal, and as the line that ends the output."""

from __future__ import annotations

from typing import Any

from rich.table import Table

from benchmarks.points import Point, Scenario, SuiteResult

# Of a point's figures, those that a table has room for; the file has them all.
_MOST_FIGURES = 7
_SECOND_RATE = ("client_capacity_qps", "counted_s", "lag_p99_ms", "error_share")


def scenario_table(scenario: Scenario) -> Table:
    """One row a point: its factors, its figures, why it is not to be believed."""
    table = Table(title=f"{scenario.name}: {scenario.about}", title_justify="left")
    table.add_column("point")
    table.add_column("figures")
    table.add_column("not valid because, or unstable")
    for point in scenario.points:
        figures = ", ".join(f"{name} {value:.4g}" for name, value in _told(point).items())
        table.add_row(point.name, figures, "; ".join(point.faults + point.warnings))
    return table


def _told(point: Point) -> dict[str, float]:
    kept = {name: value for name, value in point.figures.items() if name not in _SECOND_RATE}
    return dict(list(kept.items())[: 2 * _MOST_FIGURES])


def summary(result: SuiteResult) -> dict[str, Any]:
    """The last line of the output."""
    return {
        "format": result.format,
        "commit": result.machine.commit,
        "numeric_path": result.numeric_path,
        **{
            scenario.name: {
                point.name: {
                    **{name: float(f"{value:.4g}") for name, value in point.figures.items()},
                    "valid": not point.faults,
                }
                for point in scenario.points
            }
            for scenario in result.scenarios
        },
        **({"absent": [one.name for one in result.absent]} if result.absent else {}),
    }
