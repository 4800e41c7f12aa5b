"""Results as tables for a terminal, and as the one line that ends the output."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rich.table import Table

from benchmarks.results import EngineResult, Foretold, Peak, Profile, Series, Trial
from benchmarks.statistics import Spread, quantile, ratios, spread, unstable


def trial_table(trial: Trial) -> Table:
    """One row a contender: its time, its ratio to the yardstick with spread, its share of peak."""
    tokens = sum(trial.tokens) / len(trial.tokens) / trial.texts
    table = Table(
        title=f"{trial.title}, {trial.workload}: {trial.texts} texts of {tokens:.1f} tokens",
        title_justify="left",
    )
    table.add_column("contender")
    for name in ("ms, median", "least", "x yardstick", "95 % of median", "least..most"):
        table.add_column(name, justify="right")
    table.add_column("texts/s", justify="right")
    for peak in trial.peaks:
        table.add_column(f"of {peak.name}", justify="right")
    table.add_column("off fp32", justify="right")
    table.add_column("how")
    for series in trial.series:
        table.add_row(*_cells(trial, series))
    for peak in trial.peaks:
        reached = spread(peak.giga_operations_a_second)
        table.caption = (
            f"{peak.name}: {reached.median:.0f} ({reached.least:.0f}..{reached.most:.0f}) "
            f"10^9 operations/s; {peak.detail}"
        )
    return table


def _cells(trial: Trial, series: Series) -> list[str]:
    times = spread(series.milliseconds)
    mark = " !" if unstable(series.milliseconds) else ""
    ratio = compared(trial, series)
    shown = (
        [
            f"{ratio.median:.2f}",
            f"{ratio.low:.2f}..{ratio.high:.2f}",
            f"{ratio.least:.2f}..{ratio.most:.2f}",
        ]
        if ratio
        else ["", "", ""]
    )
    shares = [f"{share_of_peak(trial, series, peak):.0%}" for peak in trial.peaks]
    return [
        series.name,
        f"{times.median:.1f}{mark}",
        f"{times.least:.1f}",
        *shown,
        f"{trial.texts / times.median * 1e3:.0f}",
        *(share if series.operations_a_token else "" for share in shares),
        "" if series.difference is None else f"{series.difference:.1e}",
        series.detail,
    ]


def compared(trial: Trial, series: Series) -> Spread | None:
    """Times as fast as its yardstick, round by round; None for one that has none."""
    for other in trial.series:
        if other.name == series.yardstick:
            return spread(ratios(other.milliseconds, series.milliseconds))
    return None


def share_of_peak(trial: Trial, series: Series, peak: Peak) -> float:
    """Nominal operations a second as a share of the peak, median over rounds."""
    rounds = zip(trial.tokens, series.milliseconds, peak.giga_operations_a_second, strict=True)
    shares = [
        tokens * series.operations_a_token / took_ms / 1e6 / reached
        for tokens, took_ms, reached in rounds
    ]
    return spread(shares).median


def profile_table(profiles: tuple[Profile, ...]) -> Table:
    """One row a way of computing, its parts largest first."""
    table = Table(title="where the time goes", title_justify="left")
    for name in ("of", "texts", "us a token", "shares"):
        table.add_column(name)
    for profile in profiles:
        parts = ", ".join(f"{name} {share:.1%}" for name, share in profile.shares.items())
        took_us = profile.microseconds_a_token
        took = "" if took_us is None else f"{took_us:.1f}"
        table.add_row(profile.name, profile.workload, took, parts)
    return table


def foretold_table(foretold: tuple[Foretold, ...]) -> Table:
    """One row a path, workload and load: how far the cost model was off."""
    table = Table(title="the cost model, batches of 32 rows", title_justify="left")
    for name in ("path", "texts", "machine"):
        table.add_column(name)
    for name in ("batches", "ms, median", "error, median", "error, 90 %", "of a repeat, 90 %"):
        table.add_column(name, justify="right")
    for one in foretold:
        errors = foretold_errors(one)
        repeated = _errors(one.again_ms, one.taken_ms) if one.again_ms else []
        table.add_row(
            *(one.name, one.workload, one.load, str(len(errors))),
            f"{quantile(one.taken_ms, 0.5):.1f}",
            f"{quantile(errors, 0.5):.1%}",
            f"{quantile(errors, 0.9):.1%}",
            f"{quantile(repeated, 0.9):.1%}" if repeated else "",
        )
    return table


def foretold_errors(foretold: Foretold) -> list[float]:
    """Absolute error of each batch, as a share of what it took."""
    return _errors(foretold.expected_ms, foretold.taken_ms)


def _errors(expected_ms: Sequence[float], taken_ms: Sequence[float]) -> list[float]:
    pairs = zip(expected_ms, taken_ms, strict=True)
    return [abs(expected - taken) / taken for expected, taken in pairs]


def absent_table(result: EngineResult) -> Table:
    """What was not measured, and why."""
    table = Table(title="not measured", title_justify="left")
    table.add_column("what")
    table.add_column("why")
    for one in result.absent:
        table.add_row(one.name, one.reason)
    return table


def machine_lines(result: EngineResult) -> list[str]:
    """The machine, the model and the texts."""
    machine = result.machine
    loads = [" ".join(f"{one:.2f}" for one in load) for load in _loads(result)]
    versions = ", ".join(f"{name} {version}" for name, version in machine.versions.items())
    return [
        f"{machine.processor}; {machine.cores} cores; {' '.join(machine.flags)}",
        f"load average {loads[0]} before, {loads[1]} after; {machine.system}",
        f"commit {machine.commit}; {versions}",
        f"model {result.model} {result.model_hash[:12]}; data {result.data}; {result.workloads}",
        f"R: {result.yardstick}",
        "! : the standard deviation is a tenth of the mean or more",
    ]


def _loads(result: EngineResult) -> tuple[tuple[float, float, float], ...]:
    return result.load_before, result.load_after


def summary(result: EngineResult) -> dict[str, Any]:
    """Median ratios to the yardstick with their interval, by trial and contender."""
    found: dict[str, Any] = {"format": result.format, "commit": result.machine.commit}
    for trial in result.trials:
        rows = {}
        for series in trial.series:
            ratio = compared(trial, series)
            if ratio and series.name != series.yardstick:
                numbers = (ratio.median, ratio.low, ratio.high)
                rows[series.name] = [round(number, 3) for number in numbers]
        found[f"{trial.title}, {trial.workload}"] = rows
    return found
