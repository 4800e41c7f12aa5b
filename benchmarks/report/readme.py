"""The README's figures of serving: made from a committed result file, between two marks."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from statistics import median
from textwrap import fill

from benchmarks.points import Point, Scenario, SuiteResult
from benchmarks.report.knee import best_goodput, capacity, knee, loads
from benchmarks.report.whole import full_figures, kept_of
from rerank_core.errors import ConfigError

BEGIN = "<!-- begin: python -m benchmarks readme --write -->"
END = "<!-- end -->"

_WIDTH = 105
_SHARES = (0.5, 0.8, 1.0, 2.0, 10.0)
_DAGGER = "†"
_NUMBER = re.compile(r"\d+(\.\d+)?")


def block(result: SuiteResult, file: str) -> str:
    """Between the marks. Raises `ConfigError` where the result lacks what it tells."""
    machine = result.machine
    saturation, start = (_scenario(result, name) for name in ("saturation", "start"))
    memory = result.scenario("memory")
    told = [saturation, start, *([memory] if memory else [])]
    processor = machine.processor.partition(", family")[0]
    about = (
        f"{machine.cores} cores of an {processor} ({', '.join(machine.flags)}), {result.model}, "
        f"{result.numeric_path}, {_commits(told, machine.commit)}; [raw samples]({file}). Latency "
        "counts from when a request should have been sent, percentiles are of the answers that "
        "were reranked whole; goodput is what was whole and within the budget."
    )
    parts = [about, _alone(saturation), "\n".join(_table(saturation)), _rest(saturation, start)]
    faults = _faults(
        point
        for scenario in told
        for point in scenario.points
        # Loads without a budget stand in no row.
        if point.factors.get("loop") != "open, no budget"
    )
    if memory is not None:
        parts[-1] += _memory(memory)
    if faults:
        parts.append(f"{_DAGGER} not to be believed: {faults}.")
    parts.append(
        "[docs/performance.md](docs/performance.md) reads all scenarios, and says what they do not "
        "show."
    )
    filled = [part if part.startswith("|") else _filled(part) for part in parts]
    return "\n\n".join([BEGIN, *filled, END])


def _filled(text: str) -> str:
    return fill(text, _WIDTH, break_long_words=False, break_on_hyphens=False)


def _commits(scenarios: list[Scenario], otherwise: str) -> str:
    """The one of all, or each with the scenarios that it was measured with."""
    by: dict[str, list[str]] = {}
    for one in scenarios:
        by.setdefault(one.commit or otherwise, []).append(one.name)
    if len(by) == 1:
        return f"commit {next(iter(by))}"
    return "commits " + ", ".join(f"{commit} ({', '.join(names)})" for commit, names in by.items())


def _alone(saturation: Scenario) -> str:
    alone = next(one for one in saturation.points if one.factors.get("callers") == 1)
    budget = loads(saturation)[0].figures["budget_ms"]
    all_at_once = capacity(saturation)
    at_most = (
        ""
        if all_at_once is None
        else f" Four callers at once reach {all_at_once.figures['reached_qps']:.1f} a second"
        f"{_mark(all_at_once)}, the capacity."
    )
    return (
        f"{alone.factors['candidates']:g} titles a query, budget {budget:.0f} ms; alone a request "
        f"takes {median(alone.series['service_ms']):.0f} ms{_mark(alone)} (median).{at_most} "
        f"The knee, up to which 99 % are whole and in time: {knee(saturation).told}."
    )


def _table(saturation: Scenario) -> list[str]:
    rows = [
        "| requests a second | goodput | whole and in time | p50 of whole | p90 of whole |",
        "|---|---|---|---|---|",
    ]
    whole = capacity(saturation)
    for one in loads(saturation):
        if one.factors["share"] not in _SHARES:
            continue
        reached, goodput = (one.figures[name] for name in ("reached_qps", "goodput_qps"))
        of = f" ({reached / whole.figures['reached_qps']:.2f} x capacity)" if whole else ""
        least, most = (one.figures.get(f"goodput_{name}_qps") for name in ("least", "most"))
        spread = "" if least is None or most is None else f" ({least:.1f} to {most:.1f})"
        rows.append(
            f"| {reached:.1f}{of}{_mark(one)} | {goodput:.1f}{spread} | {kept_of(one).share:.0%} "
            f"| {_ms(one, 'full_p50_ms')} | {_ms(one, 'full_p90_ms')} |"
        )
    return rows


def _rest(saturation: Scenario, start: Scenario) -> str:
    best = best_goodput(saturation)
    most = (
        "Most goodput: not known, every load has a fault"
        if best is None
        else f"Most goodput: {best.figures['goodput_qps']:.1f} a second"
    )
    (point, *_) = start.points
    serving_s = median(point.series["serving_ms"]) / 1e3
    return f"{most}. From exec to serving {serving_s:.1f} s{_mark(point)}."


def _memory(memory: Scenario) -> str:
    peak = max(memory.points, key=lambda one: one.figures["peak_bytes"])
    return f" Peak of resident memory: {peak.figures['peak_bytes'] / 2**20:.0f} MiB{_mark(peak)}."


def _faults(points: Iterable[Point]) -> str:
    """One of a kind, and how many points have one like it: they differ by a number."""
    kinds: dict[str, list[str]] = {}
    for why in (why for one in points for why in one.faults):
        kinds.setdefault(_NUMBER.sub("#", why), []).append(why)
    return "; ".join(
        whys[0] + (f" ({len(whys)} points are like that)" if len(whys) > 1 else "")
        for whys in kinds.values()
    )


def _mark(point: Point) -> str:
    return f" {_DAGGER}" if point.faults else ""


def _ms(point: Point, name: str) -> str:
    told = full_figures(point)
    return f"{told[name]:.0f} ms" if name in told else "too few"


def _scenario(result: SuiteResult, name: str) -> Scenario:
    found = result.scenario(name)
    if found is None:
        raise ConfigError(f"the result lacks scenario {name}; python -m benchmarks run {name}")
    return found


def put(text: str, made: str, where: Path) -> str:
    """The text with the block between its marks replaced. Raises `ConfigError` without marks."""
    head, begun, rest = text.partition(BEGIN)
    _, ended, tail = rest.partition(END)
    if not begun or not ended:
        raise ConfigError(f"{where}: lacks the marks {BEGIN} and {END}")
    return head + made + tail
