"""One HTML file that holds everything, pictures too."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

import matplotlib as mpl
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from matplotlib.figure import Figure

from benchmarks.quality.comparisons import AFTER
from benchmarks.quality.examples import Line, examples
from benchmarks.quality.figures import CEILING, CONDENSED, JUDGED, NDCG, RECALL
from benchmarks.quality.result import Depth, QualityResult
from benchmarks.quality.run import Measured
from rerank_core.errors import ConfigError
from rerank_core.measures import Interval

_COLORS = {"lexical": "#c2762b", "vector": "#3f7fbf", "hybrid": "#2b8a57"}
_MEASURES = (NDCG, CONDENSED, JUDGED, RECALL, CEILING)


def write_report(measured: Measured, path: Path, most_examples: int) -> None:
    """Raises `ConfigError` where the file cannot be written."""
    result = measured.result
    environment = Environment(
        loader=PackageLoader("benchmarks.quality", "pages"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
    )
    wins, losses = examples(measured, "hybrid", most_examples)
    legs = ("lexical", "vector", "hybrid")
    page = environment.get_template("report.html.j2").render(
        result=result,
        measures=_MEASURES,
        systems=[result.system(name) for leg in legs for name in (leg, AFTER.format(leg))],
        sweep=draw_sweep(result.sweep),
        changes=draw_changes(result),
        wins=wins,
        losses=losses,
        interval=_interval,
        signed=_signed,
        shade=_shade,
    )
    try:
        path.write_text(page, encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}; name a file that can be written") from error


def draw_sweep(sweep: Sequence[Depth]) -> Markup:
    """nDCG@10 after the rerank, its ceiling, and recall, over the depth."""
    figure = Figure(figsize=(9.5, 3.6), layout="constrained")
    quality, found = figure.subplots(1, 2)
    for leg in dict.fromkeys(one.leg for one in sweep):
        points = [one for one in sweep if one.leg == leg]
        depths, color = [one.depth for one in points], _COLORS[leg]
        quality.plot(depths, [one.ndcg.mean for one in points], "o-", color=color, label=leg)
        quality.fill_between(
            depths,
            [one.ndcg.low for one in points],
            [one.ndcg.high for one in points],
            color=color,
            alpha=0.1,
            linewidth=0,
        )
        quality.plot(depths, [one.ceiling.mean for one in points], ":", color=color)
        found.plot(depths, [one.recall.mean for one in points], "o-", color=color, label=leg)
    quality.set_ylabel("nDCG@10 reranked, dotted: ceiling")
    found.set_ylabel("recall of relevant products")
    ticks = sorted({one.depth for one in sweep})
    for axes in (quality, found):
        axes.set_xscale("log")
        axes.set_xticks(ticks, [str(depth) for depth in ticks])
        axes.minorticks_off()
        axes.set_xlabel("candidates reranked")
        axes.grid(alpha=0.25)
        axes.legend(frameon=False)
    return _svg(figure)


def draw_changes(result: QualityResult) -> Markup:
    """The change of nDCG@10 that the rerank of each leg makes, a bar a query, in falling order."""
    figure = Figure(figsize=(9.5, 2.8), layout="constrained")
    panels = figure.subplots(1, 3, sharey=True)
    for axes, leg in zip(panels, _COLORS, strict=True):
        before, after = (result.system(name).values[NDCG] for name in (leg, AFTER.format(leg)))
        changes = sorted((after[query] - before[query] for query in before), reverse=True)
        axes.bar(range(len(changes)), changes, color=_COLORS[leg], width=1.0)
        axes.axhline(0, color="#1c2430", linewidth=0.8)
        axes.set_title(leg)
        axes.set_xticks([])
        axes.set_xlabel("queries")
    panels[0].set_ylabel("change of nDCG@10")
    return _svg(figure)


def _svg(figure: Figure) -> Markup:
    # Text stays text, and equal figures give equal files.
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": "rerank", "font.size": 9}):
        file = io.StringIO()
        figure.savefig(file, format="svg", metadata={"Date": None})
    return Markup(file.getvalue()[file.getvalue().index("<svg") :])  # noqa: S704  drawn here


def _interval(value: Interval) -> Markup:
    return Markup("{} <small>[{}, {}]</small>").format(
        f"{value.mean:.3f}", f"{value.low:.3f}", f"{value.high:.3f}"
    )


def _signed(value: Interval) -> Markup:
    return Markup("{} <small>[{}, {}]</small>").format(
        f"{value.mean:+.3f}", f"{value.low:+.3f}", f"{value.high:+.3f}"
    )


def _shade(line: Line) -> str:
    if line.grade is None:
        return "#e8ebef"
    # From red over yellow to green.
    return f"hsl({120 * line.share:.0f} 60% 82%)"
