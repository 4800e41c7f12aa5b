"""The plots of reports: one function a plot, each writes a PNG."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from distillation.calibration import Bin
from rerank_core.measures import Interval

_INK, _SOFT, _ACCENT, _WARM = "#1f2933", "#9aa5b1", "#2563a8", "#c2571a"


@contextmanager
def _plot(path: Path, *, width: float = 5.6, height: float = 4.0) -> Iterator[Axes]:
    figure = Figure(figsize=(width, height), layout="constrained")
    axes = figure.add_subplot()
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["bottom", "left"]].set_color(_SOFT)
    axes.tick_params(colors=_INK, labelsize=8)
    yield axes
    figure.savefig(path, dpi=130)


def scale_curve(
    sizes: Sequence[int],
    curve: Sequence[Interval],
    lines: Mapping[str, float],
    path: Path,
    *,
    unit: str,
) -> None:
    """nDCG@10 of students against how many labels they learned from; `lines` are levels beside."""
    with _plot(path) as axes:
        means = [one.mean for one in curve]
        spread = [
            [one.mean - one.low for one in curve],
            [one.high - one.mean for one in curve],
        ]
        axes.errorbar(sizes, means, yerr=spread, color=_ACCENT, marker="o", capsize=3, lw=1.5)
        axes.set_xscale("log", base=2)
        axes.set_xticks(sizes, [f"{size:,}" for size in sizes])
        axes.minorticks_off()
        for number, (name, level) in enumerate(lines.items()):
            colour = _WARM if name.lower().startswith("teacher") else _SOFT
            axes.axhline(level, color=colour, lw=1, ls=("--", ":", "-.")[number % 3])
            axes.annotate(
                name, (1.01, level), xycoords=("axes fraction", "data"), fontsize=8,
                color=colour if colour == _WARM else _INK, ha="left", va="center",
            )  # fmt: skip
        axes.set_xlabel(unit)
        axes.set_ylabel("nDCG@10")


def against(
    ours: Mapping[str, float], theirs: Mapping[str, float], names: tuple[str, str], path: Path
) -> None:
    """nDCG@10 of every query under two rankers; above the line the first is better."""
    with _plot(path, width=4.4, height=4.2) as axes:
        queries = sorted(ours)
        axes.scatter(
            [theirs[q] for q in queries], [ours[q] for q in queries],
            s=9, color=_ACCENT, alpha=0.35, linewidths=0,
        )  # fmt: skip
        low = min(*ours.values(), *theirs.values())
        axes.plot([low, 1], [low, 1], color=_SOFT, lw=1)
        better = sum(ours[q] > theirs[q] + 1e-9 for q in queries)
        worse = sum(ours[q] < theirs[q] - 1e-9 for q in queries)
        axes.set_title(
            f"{better} queries better, {worse} worse, {len(queries) - better - worse} equal",
            fontsize=9, color=_INK,
        )  # fmt: skip
        axes.set_ylabel(f"nDCG@10, {names[0]}")
        axes.set_xlabel(f"nDCG@10, {names[1]}")


def reliability(bins: Sequence[Bin], ece: float, path: Path) -> None:
    """Predicted probability against the mean grade; a perfect model is on the line."""
    with _plot(path, width=4.4, height=4.2) as axes:
        axes.plot([0, 1], [0, 1], color=_SOFT, lw=1)
        axes.plot(
            [one.predicted for one in bins], [one.observed for one in bins],
            color=_ACCENT, marker="o", lw=1.5,
        )  # fmt: skip
        for one in bins:
            axes.annotate(
                f"{one.pairs:,}", (one.predicted, one.observed), fontsize=7, color=_INK,
                xytext=(4, -10), textcoords="offset points",
            )  # fmt: skip
        axes.set_title(f"expected calibration error {ece:.3f}; numbers are pairs", fontsize=9)
        axes.set_xlabel("predicted probability of relevance")
        axes.set_ylabel("mean human grade, as a share")


def pareto(points: Mapping[str, tuple[float, Interval]], path: Path) -> None:
    """nDCG@10 against milliseconds, one point a model."""
    with _plot(path) as axes:
        for name, (milliseconds, ndcg) in points.items():
            axes.errorbar(
                milliseconds, ndcg.mean, yerr=[[ndcg.mean - ndcg.low], [ndcg.high - ndcg.mean]],
                color=_ACCENT, marker="o", capsize=3,
            )  # fmt: skip
            axes.annotate(
                name, (milliseconds, ndcg.mean), xytext=(6, 4), textcoords="offset points",
                fontsize=8,
            )  # fmt: skip
        axes.set_xlabel("milliseconds for 100 products")
        axes.set_ylabel("nDCG@10")
