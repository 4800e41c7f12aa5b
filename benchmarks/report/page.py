"""One self-contained HTML page of a result: figures, tables, machine, faults."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from html import escape

from benchmarks.points import Point, Scenario, SuiteResult
from benchmarks.report import plots
from benchmarks.report.knee import capacity, knee, loads
from benchmarks.report.whole import full_figures, is_load, kept_of
from benchmarks.results import EngineResult

_TITLE = "Latency of the sidecar"
_TERMS = (
    "Latency counts from when a request should have been sent, service time from when it was. "
    "Goodput counts answers that are reranked whole and in time. Percentiles called full are of "
    "the answers that were reranked whole; their share stands beside them. No percentile is "
    "shown that fewer than ten samples lie beyond. A row with † is not to be believed, its "
    "last column says why. Raw samples are in the result file."
)
_STYLE = """
:root { color-scheme: light; }
body { font: 15px/1.5 system-ui, sans-serif; color: #1a1a1a; background: #fff;
       max-width: 64rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.6rem; } h2 { font-size: 1.2rem; margin-top: 2.5rem; }
.about, .machine { color: #444; } .machine { font-size: .85rem; }
svg { max-width: 100%; height: auto; display: block; margin: 1rem 0; }
table { border-collapse: collapse; font-size: .8rem; font-variant-numeric: tabular-nums; }
th, td { padding: .2rem .7rem .2rem 0; text-align: right; border-bottom: 1px solid #e6e6e6;
         vertical-align: top; }
th:first-child, td:first-child, td.why { text-align: left; }
td.why { color: #a33; } details { margin: .5rem 0; } .wide { overflow-x: auto; }
"""
# A table's figures, by scenario; the rest is in the file.
_FIGURES = {
    "saturation": (
        "reached_qps",
        "goodput_qps",
        "goodput_least_qps",
        "goodput_most_qps",
        "kept_share",
        "full_share",
        "degraded_share",
        "error_share",
        "full_p50_ms",
        "full_p90_ms",
        "full_p95_ms",
        "full_p99_ms",
        "lag_p99_ms",
    ),
    "cost": ("candidates", "tokens_a_pair", "service_median_ms", "service_p50_ms"),
    "cache": (
        "reached_qps",
        "goodput_qps",
        "hit_share",
        "repeated_share",
        "full_share",
        "full_p50_ms",
        "full_p90_ms",
        "full_p95_ms",
    ),
    "swap": (
        "requests",
        "full_share",
        "error_share",
        "full_p50_ms",
        "full_p90_ms",
        "reload_ms",
        "resident_before_bytes",
        "resident_after_bytes",
        "resident_most_bytes",
    ),
}


def page(result: SuiteResult, engines: Sequence[EngineResult] = ()) -> str:
    """The whole page; nothing is fetched from anywhere."""
    machine = result.machine
    parts = [
        f"<!doctype html><html lang=en><meta charset=utf-8><title>{_TITLE}</title>",
        f"<meta name=viewport content='width=device-width'><style>{_STYLE}</style>",
        f"<h1>{_TITLE}</h1>",
        "<p class=machine>"
        + escape(
            f"{machine.processor}; {machine.cores} cores; {' '.join(machine.flags)}; "
            f"{machine.system}; commit {machine.commit}; model {result.model} "
            f"{result.model_hash[:12]}, {result.numeric_path}; "
            + ", ".join(f"{name} {version}" for name, version in machine.versions.items())
        )
        + "</p>",
        f"<p class=about>{_TERMS}</p>",
    ]
    for scenario in result.scenarios:
        parts += _section(scenario, machine.commit)
    if result.absent:
        parts.append("<h2>Not measured</h2><ul>")
        parts += [f"<li>{escape(one.name)}: {escape(one.reason)}</li>" for one in result.absent]
        parts.append("</ul>")
    for engine in engines:
        parts += _peers(engine)
    return "\n".join(parts) + "\n</html>\n"


def _section(scenario: Scenario, commit: str) -> Iterator[str]:
    yield f"<h2 id={scenario.name}>{scenario.name}</h2>"
    yield f"<p class=about>{escape(scenario.about)}</p>"
    with_what = [f"commit {scenario.commit or commit}"]
    with_what += [f"data {scenario.data}"] if scenario.data else []
    with_what += ["a quick run"] if scenario.quick else []
    yield f"<p class=machine>{escape('; '.join(with_what))}</p>"
    yield from (draw(scenario) for draw in _PLOTS.get(scenario.name, ()))
    yield f"<div class=wide>{_table(scenario)}</div>"
    loads_told = ", ".join(
        f"{label} {one[0]:.2f}"
        for label, one in (("before", scenario.load_before), ("after", scenario.load_after))
    )
    yield f"<p class=machine>load average {loads_told} (the benchmark itself included)</p>"


def _shown(point: Point) -> dict[str, float]:
    if not is_load(point):
        return point.figures
    return point.figures | full_figures(point) | {"kept_share": kept_of(point).share}


def _table(scenario: Scenario) -> str:
    figures = [_shown(point) for point in scenario.points]
    names = _FIGURES.get(scenario.name) or tuple(
        dict.fromkeys(name for shown in figures for name in shown)
    )
    names = tuple(name for name in names if any(name in shown for shown in figures))
    head = "".join(f"<th>{escape(name.replace('_', ' '))}</th>" for name in names)
    rows = []
    for point, shown in zip(scenario.points, figures, strict=True):
        cells = "".join(
            f"<td>{_number(name, shown[name]) if name in shown else ''}</td>" for name in names
        )
        why = escape("; ".join(point.faults + point.warnings))
        name = escape(point.name) + (" †" if point.faults else "")
        rows.append(f"<tr><td>{name}</td>{cells}<td class=why>{why}</td></tr>")
    return f"<table><tr><th>point</th>{head}<th></th></tr>{''.join(rows)}</table>"


_COUNTS = ("requests", "candidates", "scored_a_query", "slices")


def _number(name: str, value: float) -> str:
    if name.endswith("_bytes"):
        return f"{value / 2**20:,.0f} MiB"
    if name.endswith("_share"):
        return f"{value:.1%}"
    if name in _COUNTS or name.startswith("because_"):
        return f"{value:,.0f}"
    return f"{value:,.3f}" if value < 10 else f"{value:,.1f}"


def _saturation_percentiles(scenario: Scenario) -> str:
    named = {}
    for share in (0.5, 0.8, 1.0):
        for one in loads(scenario):
            if one.factors.get("share") == share:
                named[_marked(f"{share:g} of capacity", one)] = one
    for one in scenario.points:
        if one.factors["loop"] == "closed" and one.factors["callers"] != 1:
            named[_marked(f"closed loop of {one.factors['callers']:g}, no budget", one)] = one
        if one.factors["loop"] == "open, no budget":
            named[_marked(f"{one.factors['share']:g} of capacity, no budget", one)] = one
    return plots.percentile_plot(named)


def _marked(name: str, point: Point) -> str:
    return f"{name} †" if point.faults else name


def _knee_told(scenario: Scenario) -> str:
    whole = capacity(scenario)
    reached = (
        ""
        if whole is None
        else f" Capacity, what four callers reach: {whole.figures['reached_qps']:.2f} a second"
        f"{' †' if whole.faults else ''}."
    )
    return (
        "<p>The knee, up to which 99 % are reranked whole and in time, by the 95 % intervals of "
        f"the shares: {knee(scenario).told}.{reached}</p>"
    )


def _cache_percentiles(scenario: Scenario) -> str:
    return plots.percentile_plot(
        {_marked(f"cache {one.factors['cache']}", one): one for one in scenario.points}
    )


_PLOTS: dict[str, tuple[Callable[[Scenario], str], ...]] = {
    "saturation": (plots.saturation_plot, _knee_told, _saturation_percentiles),
    "cost": (plots.cost_plot,),
    "budget": (plots.budget_plot,),
    "cache": (_cache_percentiles,),
    "funnel": (plots.stage_plot,),
}


def _peers(engine: EngineResult) -> Iterator[str]:
    trials = [one for one in engine.trials if one.title == "texts to scores"]
    trials = trials or [one for one in engine.trials if one.title == "forward"]
    yield "<h2>Peers</h2>"
    yield (
        f"<p class=machine>{escape(engine.machine.processor)}; {engine.machine.cores} cores; "
        f"commit {escape(engine.machine.commit)}; data {escape(engine.data)}; {engine.rounds} "
        "interleaved rounds; the same weights and texts for all, parity of scores checked first. "
        f"R: {escape(engine.yardstick)}</p>"
    )
    for trial in trials:
        yield plots.peer_plot(trial)
    if engine.absent:
        reasons = "".join(
            f"<li>{escape(one.name)}: {escape(one.reason)}</li>" for one in engine.absent
        )
        yield f"<details><summary>not measured there</summary><ul>{reasons}</ul></details>"
