"""Figures of a result as SVG text; colours by Okabe and Ito, for all eyes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from benchmarks.engine.tables import compared
from benchmarks.load.histogram import histogram, percentile_ms
from benchmarks.points import Point, Scenario
from benchmarks.report.canvas import COLOURS, axes_of, plain_ticks, styled, svg
from benchmarks.report.knee import knee, loads
from benchmarks.report.whole import full_figures, whole_ms
from benchmarks.results import Trial
from benchmarks.statistics import Spread

_BEYOND = 10
# Too small to be read in the breakdown.
_LEAST_SHARE = 0.03
# Latencies that differ by more are drawn on a logarithmic axis.
_WIDE = 8


def saturation_plot(scenario: Scenario) -> str:
    """Latency of whole answers and goodput against load, with the knee and the budget.

    Loads with faults are crosses beside the lines, which leave them out.
    """
    with styled():
        figure, (left, right) = axes_of(2)
        points = loads(scenario)
        sound = [one for one in points if not one.faults]
        faulty = [one for one in points if one.faults]
        reached = _figures(points, "reached_qps")
        for percent, mark in ((50, "o-"), (90, "s-")):
            left.plot(*_whole(sound, percent), mark, ms=4, label=f"p{percent}, whole answers")
            left.plot(*_whole(faulty, percent), "x", ms=5, color=COLOURS[5])
        budget = points[0].figures["budget_ms"]
        left.axhline(budget, color="#777777", ls=":", lw=1)
        left.annotate(f"budget {budget:.0f} ms", (min(reached), budget), (0, -12),
                      textcoords="offset points", color="#555555")  # fmt: skip
        turn = knee(scenario)
        for axes in (left, right):
            axes.set_xscale("log")
            axes.set_xlabel("requests a second")
            plain_ticks(axes, reached)
            for edge in (turn.at_least_qps, turn.below_qps):
                if edge is not None:
                    axes.axvline(edge, color=COLOURS[5], lw=1, ls="--")
        left.set_ylim(bottom=0)
        left.set_ylabel("latency, ms")
        left.set_title("latency; dashed: edges of the knee")
        left.legend(loc="lower right")
        right.plot(_figures(sound, "reached_qps"), _figures(sound, "goodput_qps"), "o-", ms=4,
                   label="reranked whole and in time")  # fmt: skip
        if faulty:
            right.plot(_figures(faulty, "reached_qps"), _figures(faulty, "goodput_qps"), "x", ms=5,
                       color=COLOURS[5], label="not to be believed")  # fmt: skip
        most = max(_figures(points, "goodput_qps"))
        ordered = sorted(reached)
        right.plot(ordered, np.minimum(ordered, most), color="#777777", ls=":", lw=1,
                   label="as much as was asked")  # fmt: skip
        right.set_ylim(bottom=0)
        right.set_ylabel("goodput, a second")
        right.set_title("goodput against load")
        right.margins(y=0.1)
        right.legend(loc="upper center", bbox_to_anchor=(0.5, -0.2), ncols=2)
        return svg(figure)


def _whole(points: Sequence[Point], percent: int) -> tuple[list[float], list[float]]:
    told = [(one.figures["reached_qps"], full_figures(one)) for one in points]
    name = f"full_p{percent}_ms"
    known = [(qps, figures[name]) for qps, figures in told if name in figures]
    return [qps for qps, _ in known], [ms for _, ms in known]


def percentile_plot(named: Mapping[str, Point]) -> str:
    """Whole answers' latency by percentile, from HDR histograms, as far as each sample goes."""
    with styled():
        figure, (axes,) = axes_of(1)
        drawn: list[float] = []
        for name, point in named.items():
            values_ms = whole_ms(point)
            total = len(values_ms)
            if total <= _BEYOND:
                continue
            encoded = histogram(values_ms)
            shares = 1 - np.geomspace(1.0, _BEYOND / total, 60)
            values = [percentile_ms(encoded, 100 * share) for share in shares]
            drawn += values
            axes.plot(1 / (1 - shares), values, lw=1.6, label=f"{name} ({total})")
        axes.set_xscale("log")
        ticks = [(1, "0"), (2, "50 %"), (10, "90 %"), (20, "95 %"), (100, "99 %"), (1000, "99.9 %")]
        high = axes.get_xlim()[1]
        shown = [one for one in ticks if one[0] <= high]
        axes.set_xticks([at for at, _ in shown], [label for _, label in shown])
        axes.minorticks_off()
        if drawn and max(drawn) > _WIDE * min(drawn):
            axes.set_yscale("log")
        else:
            axes.set_ylim(bottom=0)
        axes.set_xlabel("share of whole answers that are as fast or faster")
        axes.set_ylabel("latency, ms")
        axes.set_title("by percentile, each line as far as ten samples lie beyond (samples)")
        axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0))
        return svg(figure)


def budget_plot(scenario: Scenario) -> str:
    """Quality and share reranked against the deadline."""
    with styled():
        figure, (left, right) = axes_of(2)
        timed = [
            one
            for one in scenario.points
            if not isinstance(one.factors["budget_ms"], str) and one.factors["budget_ms"]
        ]
        before = next(one for one in scenario.points if one.factors["budget_ms"] == 0)
        whole = next(one for one in scenario.points if one.factors["budget_ms"] == "none")
        budgets = [float(one.factors["budget_ms"]) for one in timed]
        left.plot(budgets, _figures(timed, "ndcg_at_10_mean"), "o-", ms=4, label="within budget")
        for point, label, style in ((before, "as it came", ":"), (whole, "whole rerank", "--")):
            left.axhline(point.figures["ndcg_at_10_mean"], color="#555555", lw=1, ls=style,
                         label=label)  # fmt: skip
        left.set_ylabel("nDCG@10")
        left.set_title("quality against budget")
        right.plot(budgets, _figures(timed, "scored_share_mean"), "s-", ms=4, color=COLOURS[1],
                   label="documents scored")  # fmt: skip
        right.plot(budgets, _figures(timed, "kept_of_10_mean"), "o-", ms=4, color=COLOURS[2],
                   label="of the whole rerank's ten")  # fmt: skip
        right.axhline(before.figures["kept_of_10_mean"], color=COLOURS[2], lw=1, ls=":",
                      label="of its ten, as it came")  # fmt: skip
        right.set_ylim(0, 1.03)
        right.set_ylabel("share")
        right.set_title("what is done within it")
        for axes in (left, right):
            axes.set_xscale("log")
            axes.set_xlabel("budget, ms")
            plain_ticks(axes, budgets)
            axes.legend()
        return svg(figure)


def stage_plot(scenario: Scenario) -> str:
    """Mean milliseconds of each stage of a search, a bar a depth."""
    with styled():
        figure, (axes,) = axes_of(1, height=1.2 + 0.6 * len(scenario.points))
        stages = list(dict.fromkeys(name for one in scenario.points for name in _stages(one)))
        for row, point in enumerate(scenario.points):
            began = 0.0
            total = float(np.mean(point.series["service_ms"]))
            parts = _stages(point) | {"wire and rest": 0.0}
            parts["wire and rest"] = max(0.0, total - sum(parts.values()))
            for name in [*stages, "wire and rest"]:
                ms = parts.get(name, 0.0)
                colour = COLOURS[[*stages, "wire and rest"].index(name) % len(COLOURS)]
                label = name if row == 0 else None
                axes.barh(row, ms, left=began, color=colour, label=label, height=0.6,
                          edgecolor="white", linewidth=0.8)  # fmt: skip
                if ms / total > 2 * _LEAST_SHARE:
                    axes.text(began + ms / 2, row, f"{ms / total:.0%}", ha="center", va="center",
                              color="white", fontsize=8)  # fmt: skip
                began += ms
        names = [f"{one.factors['depth']:g} candidates" for one in scenario.points]
        axes.set_yticks(range(len(names)), names)
        axes.grid(visible=False, axis="y")
        axes.set_xlabel("mean of a search, ms")
        axes.set_title("where the time of a search goes")
        axes.legend(ncols=5, loc="upper center", bbox_to_anchor=(0.45, -0.35))
        return svg(figure)


def cost_plot(scenario: Scenario) -> str:
    """Service time by candidates and tokens, and what threads, layers and fp32 make of it."""
    with styled():
        figure, (left, middle, right) = axes_of(3)
        for axes, varied, factor, label in (
            (left, "candidates", "candidates", "candidates, titles"),
            (middle, "tokens", "product_tokens", "tokens of a product, at most"),
        ):
            points = [one for one in scenario.points if one.factors["varied"] == varied]
            at = [float(one.factors[factor]) for one in points]
            medians = [float(np.median(one.series["service_ms"])) for one in points]
            axes.plot(at, medians, "o-", ms=4)
            for x, ms in zip(at, medians, strict=True):
                axes.annotate(f"{ms:.0f}", (x, ms), (0, 5), textcoords="offset points",
                              ha="center", fontsize=8)  # fmt: skip
            axes.set_xscale("log")
            axes.set_yscale("log")
            plain_ticks(axes, at)
            axes.set_xlabel(label)
            axes.margins(y=0.15)
        left.set_ylabel("service time, median, ms")
        left.set_title("by candidates")
        middle.set_title("by length")
        names, values = [], []
        for varied in ("threads", "path", "layers"):
            for point in (one for one in scenario.points if one.factors["varied"] == varied):
                names.append(f"{varied} {point.factors[varied]}".removesuffix(".0"))
                values.append(float(np.median(point.series["service_ms"])))
        right.barh(range(len(names)), values, color=COLOURS[0], height=0.65)
        for row, ms in enumerate(values):
            right.annotate(f"{ms:.0f}", (ms, row), (4, 0), textcoords="offset points",
                           va="center", fontsize=8)  # fmt: skip
        right.set_yticks(range(len(names)), names)
        right.invert_yaxis()
        right.grid(visible=False, axis="y")
        right.margins(x=0.18)
        right.set_xlabel("service time, median, ms")
        right.set_title("by what computes")
        return svg(figure)


def peer_plot(trial: Trial) -> str:
    """Each contender's times as fast as the yardstick, with the interval of the median."""
    with styled():
        found: list[tuple[str, Spread]] = []
        for series in trial.series:
            ratio = compared(trial, series)
            if ratio is not None:
                found.append((series.name, ratio))
        found.sort(key=lambda one: one[1].median)
        figure, (axes,) = axes_of(1, height=0.9 + 0.27 * len(found))
        rows = range(len(found))
        medians = [ratio.median for _, ratio in found]
        spans = [
            [ratio.median - ratio.low for _, ratio in found],
            [ratio.high - ratio.median for _, ratio in found],
        ]
        axes.barh(rows, medians, color=COLOURS[4], height=0.65)
        axes.errorbar(medians, rows, xerr=spans, fmt="none", ecolor="black", lw=1, capsize=2)
        for row, (_, ratio) in enumerate(found):
            axes.annotate(f"{ratio.median:.2f}", (ratio.high, row), (5, 0),
                          textcoords="offset points", va="center", fontsize=8)  # fmt: skip
        axes.set_yticks(rows, [name for name, _ in found])
        axes.grid(visible=False, axis="y")
        axes.margins(x=0.12)
        axes.set_xlabel("times as fast as the TEI-style policy R, median and 95 % interval")
        axes.set_title(f"{trial.title}, {trial.workload}: {trial.texts} candidates")
        return svg(figure)


def _stages(point: Point) -> dict[str, float]:
    return {
        name.removeprefix("stage_").removesuffix("_ms"): float(np.mean(values))
        for name, values in point.series.items()
        if name.startswith("stage_")
    }


def _figures(points: Sequence[Point], name: str) -> list[float]:
    return [one.figures[name] for one in points]
