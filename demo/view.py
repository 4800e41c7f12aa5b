"""What the walk-through shows: orders side by side, stage times, quality."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import median
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from demo.collection import Collection
from demo.protocols import Comparison
from rerank_client import Hit, ModelDescription, SearchResult

_ROWS = 5


def show_model(console: Console, model: ModelDescription) -> None:
    """What reranks, how, and under which licence."""
    version = model.version
    line = f"reranked by {version.id} ({version.hash[:12]}, {version.numeric_path})"
    console.print(Text(f"{line}; licence of the weights: {model.licence}"))


def show_settings(console: Console, settings: Mapping[str, Any]) -> None:
    """How the search is put together."""
    legs = ", ".join(f"{leg} {weight:g}" for leg, weight in settings["legs"].items())
    depth, blend = settings["rerank_depth"], settings["blend"]
    line = (
        f"legs: {legs}, by {settings['fusion']}; the first {depth} are reranked, {blend:g} of the "
        "first stage's score blended in (deploy/sidecar.toml)"
    )
    console.print(Text(line), soft_wrap=True)


def show_orders(console: Console, collection: Collection, query: str, result: SearchResult) -> None:
    """The first stage's top products beside the reranked ones, with scores and grades."""
    grades = collection.judgments[query]
    title = Text(f"“{collection.queries[query]}”", style="bold")
    table = Table(title=title, title_justify="left", expand=True)
    table.add_column("#", justify="right")
    for product, numbers in (("first stage", ("score",)), ("reranked", ("logit", "was"))):
        table.add_column(product, ratio=1, no_wrap=True)
        for name in (*numbers, "grade"):
            table.add_column(name, justify="right", no_wrap=True)
    by_first_stage = sorted(result.hits, key=lambda hit: hit.first_stage_rank)
    for place, (first, last) in enumerate(
        zip(by_first_stage[:_ROWS], result.hits[:_ROWS], strict=True), start=1
    ):
        table.add_row(
            str(place),
            _title(first),
            f"{first.first_stage_score:.4f}",
            _grade(first, grades),
            _title(last),
            f"{last.rerank.logit:.2f}" if last.rerank else "-",
            str(last.first_stage_rank),
            _grade(last, grades),
        )
    console.print(table)
    console.print(Text(_stages(result.stages_ms)), style="dim", soft_wrap=True)
    console.print()


def show_stages(console: Console, results: Sequence[SearchResult]) -> None:
    """The median of each stage over all searches."""
    names = list(dict.fromkeys(name for result in results for name in result.stages_ms))
    medians = {
        name: median(result.stages_ms.get(name, 0.0) for result in results) for name in names
    }
    scored = median(result.scored for result in results)
    console.print(
        Text(
            f"median of {len(results)} searches, one at a time, {scored:g} candidates scored: "
            f"{_stages(medians)}"
        ),
        soft_wrap=True,
    )
    console.print()


def show_quality(
    console: Console, collection: Collection, comparisons: Sequence[Comparison]
) -> None:
    """nDCG@10 before and after, a line a protocol."""
    table = Table(title=Text(f"nDCG@10, {collection.folder.name} {collection.split}"))
    for name in ("protocol", "queries", "before", "after", "change [95 %]", "p", "judged@10"):
        table.add_column(name, justify="left" if name == "protocol" else "right")
    for comparison in comparisons:
        change = comparison.change.difference
        table.add_row(
            comparison.after.protocol,
            str(comparison.change.queries),
            f"{comparison.before.mean('nDCG@10').mean:.4f}",
            f"{comparison.after.mean('nDCG@10').mean:.4f}",
            f"{change.mean:+.4f} [{change.low:+.4f}, {change.high:+.4f}]",
            f"{comparison.change.p_value:.4f}",
            _judged(comparison),
        )
    console.print(table)
    scale = collection.scale
    console.print(
        Text(
            f"Gain is linear from grade {scale.floor:g} to {scale.top:g}; queries with one grade "
            "only are left out; paired randomisation test.\n"
            "judged list: the judged products alone, before: the first stage's order of them, "
            "after: the cross-encoder's alone.\n"
            "funnel: what Search returns, before: by first-stage rank; unjudged products count 0."
        ),
        style="dim",
    )


def _judged(comparison: Comparison) -> str:
    """How much of the top ten was judged, where not all of it is by definition."""
    if comparison.after.protocol != "funnel":
        return ""
    before, after = comparison.before.mean("Judged@10"), comparison.after.mean("Judged@10")
    return f"{before.mean:.2f}, {after.mean:.2f}"


def _title(hit: Hit) -> Text:
    title = " ".join(hit.fields.get("title", ())) or hit.id
    return Text(title, overflow="ellipsis", no_wrap=True)


def _grade(hit: Hit, grades: Mapping[str, float]) -> str:
    return f"{grades[hit.id]:g}" if hit.id in grades else "-"


def _stages(stages_ms: Mapping[str, float]) -> str:
    """Stages of 0.1 ms and more."""
    told = {stage: taken for stage, taken in stages_ms.items() if taken >= 0.05}
    return ", ".join(f"{stage} {taken:.1f} ms" for stage, taken in told.items())
