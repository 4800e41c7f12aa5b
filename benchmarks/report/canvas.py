"""What all figures share: style, axes, SVG text. Colours by Okabe and Ito, for all eyes."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure

COLOURS = ("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#000000")
_STYLE: dict[Any, Any] = {
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#e6e6e6",
    "axes.axisbelow": True,
    "axes.titlesize": 10,
    "axes.titlelocation": "left",
    "axes.prop_cycle": f"cycler('color', {list(COLOURS)})",
    "legend.frameon": False,
    "svg.fonttype": "none",
    "svg.hashsalt": "benchmarks",
}


@contextmanager
def styled() -> Iterator[None]:
    """Figures made in the block have the style."""
    with mpl.rc_context(_STYLE):
        yield


def axes_of(columns: int, height: float = 3.1) -> tuple[Figure, list[Any]]:
    """A figure without pyplot, whose figures would be kept for ever."""
    figure = Figure(figsize=(9.0, height), layout="constrained")
    return figure, list(np.atleast_1d(figure.subplots(1, columns)))


def plain_ticks(axes: Any, values: Sequence[float]) -> None:
    """As many of the values as do not run into each other on a logarithmic axis."""
    kept: list[float] = []
    for value in sorted(set(values)):
        if not kept or value >= 1.35 * kept[-1]:
            kept.append(value)
    axes.set_xticks(kept, [f"{value:,.0f}" if value >= 100 else f"{value:.3g}" for value in kept])
    axes.minorticks_off()


def svg(figure: Figure) -> str:
    """The figure as text; equal figures make equal text."""
    written = io.StringIO()
    figure.savefig(written, format="svg", metadata={"Date": None})
    text = written.getvalue()
    return text[text.index("<svg") :]
