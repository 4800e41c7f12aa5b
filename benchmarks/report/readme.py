"""The README's figures of serving: made from a committed result file, between two marks."""

from __future__ import annotations

from pathlib import Path
from statistics import median
from textwrap import fill

from benchmarks.points import Point, Scenario, SuiteResult
from benchmarks.report.knee import best_goodput, kept_share, knee, loads
from rerank_core.errors import ConfigError

BEGIN = "<!-- begin: python -m benchmarks readme --write -->"
END = "<!-- end -->"

_WIDTH = 105


def block(result: SuiteResult, file: str) -> str:
    """Between the marks. Raises `ConfigError` where the result lacks what it tells."""
    machine = result.machine
    saturation = _scenario(result, "saturation")
    processor = machine.processor.partition(", family")[0]
    about = (
        f"{machine.cores} cores of an {processor} ({', '.join(machine.flags)}), {result.model}, "
        f"{result.numeric_path}, commit {machine.commit}; [raw samples]({file}). Latency counts "
        "from when a request should have been sent; goodput is what was reranked whole and within "
        "the budget."
    )
    loads_told, *table = _loads(saturation)
    parts = [about, loads_told, "\n".join(table), _rest(result)]
    filled = [part if part.startswith("|") else _filled(part) for part in parts]
    return "\n\n".join([BEGIN, *filled, END])


def _filled(text: str) -> str:
    return fill(text, _WIDTH, break_long_words=False, break_on_hyphens=False)


def _loads(saturation: Scenario) -> list[str]:
    alone = next(one for one in saturation.points if one.factors.get("callers") == 1)
    budget = loads(saturation)[0].figures["budget_ms"]
    turn = knee(saturation)
    candidates = alone.factors["candidates"]
    rows = [
        f"{candidates:g} titles a query, budget {budget:.0f} ms; alone a request takes "
        f"{median(alone.series['service_ms']):.0f} ms (median). "
        + (
            f"The knee, up to which 99 % are whole and in time: {turn.figures['offered_qps']:.1f} "
            "a second."
            if turn
            else "At no load were 99 % whole and in time."
        ),
        "| offered a second | goodput | whole and in time | p50 | p90 |",
        "|---|---|---|---|---|",
    ]
    rows += [
        f"| {one.figures['offered_qps']:.1f} ({one.factors['share']:g} x capacity) "
        f"| {one.figures['goodput_qps']:.1f} | {kept_share(one):.0%} "
        f"| {_ms(one, 'latency_p50_ms')} | {_ms(one, 'latency_p90_ms')} |"
        for one in loads(saturation)
        if one.factors["share"] in (0.5, 0.8, 1.0, 2.0, 10.0)
    ]
    return rows


def _rest(result: SuiteResult) -> str:
    start = _scenario(result, "start").points[0]
    best = best_goodput(_scenario(result, "saturation")).figures["goodput_qps"]
    serving_s = median(start.series["serving_ms"]) / 1e3
    told = f"Most goodput: {best:.1f} a second. From exec to serving {serving_s:.1f} s"
    memory = result.scenario("memory")
    if memory is not None:
        resident = max(one.figures["resident_bytes"] for one in memory.points) / 2**20
        told += f"; resident memory at work up to {resident:.0f} MiB"
    return (
        f"{told}. [docs/performance.md](docs/performance.md) reads all scenarios, and says what "
        "they do not show."
    )


def _ms(point: Point, name: str) -> str:
    return f"{point.figures[name]:.0f} ms" if name in point.figures else "too few samples"


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
