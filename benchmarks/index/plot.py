"""The picture of an index benchmark: speed, where the time goes, and memory."""

from __future__ import annotations

import importlib
from pathlib import Path

from benchmarks.index.result import IndexResult
from rerank_core.errors import ConfigError

_PARTS = ("encode", "write", "merge")
_COLOURS = ("#4477aa", "#ee9955", "#999999")


def draw(result: IndexResult, path: Path) -> None:
    """Documents a second, shares and peak memory by contender. Raises `ConfigError`.

    Peak memory of ours by products where it was measured so.
    """
    try:
        pyplot = importlib.import_module("matplotlib.pyplot")
    except ImportError as error:
        raise ConfigError("--plot needs matplotlib: pip install matplotlib") from error
    names = list(reversed(result.names))
    figure, (speed, shares, memory) = pyplot.subplots(
        1, 3, figsize=(11, 3), layout="constrained", width_ratios=(2, 2, 1.4)
    )
    for place, name in enumerate(names):
        speeds = [one.documents / one.seconds for one in result.samples if one.name == name]
        middle = result.median(name, lambda one: one.documents / one.seconds)
        speed.barh(place, middle, color="#88aacc")
        speed.plot(speeds, [place] * len(speeds), "k.")
        begin = 0.0
        for part, colour, share in zip(_PARTS, _COLOURS, result.shares(name), strict=True):
            shares.barh(place, share, left=begin, color=colour, label=part if not place else None)
            begin += share
    speed.set_yticks(range(len(names)), names)
    speed.set_xlabel(f"documents a second, {result.products:,} products")
    shares.set_yticks(range(len(names)), [""] * len(names))
    shares.set_xlabel("waited for, as a share of load and merge")
    if names:
        shares.legend(
            loc="lower center", bbox_to_anchor=(0.5, 1), ncols=3, frameon=False, fontsize="small"
        )
    peaks = [(one.documents, one.peak_bytes / 2**20) for one in result.peaks]
    if peaks:
        memory.plot(*zip(*sorted(peaks), strict=True), "o-", color="#4477aa")
        memory.set_xscale("log")
        memory.set_ylim(0, 1.2 * max(peak for _, peak in peaks))
        memory.set_xticks([count for count, _ in peaks], [f"{count:,}" for count, _ in peaks])
        memory.minorticks_off()
        memory.set_xlabel("products")
        memory.set_title("peak memory of ours, MB", fontsize="medium")
    else:
        most = [result.median(name, lambda one: one.peak_bytes) / 2**20 for name in names]
        memory.barh(range(len(names)), most, color="#88aacc")
        memory.set_yticks(range(len(names)), [""] * len(names))
        memory.set_xlabel("peak memory, MB")
    figure.savefig(path)
    pyplot.close(figure)
