"""One recipe's page: tables, plots, and the queries where most was won and lost."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from distillation.calibration import Bin
from distillation.pipeline.recipe import Recipe
from distillation.pipeline.split import Material
from distillation.pipeline.stage import Finished
from distillation.ranking import Run, values
from distillation.report.plots import against, reliability

_SHOWN = 3
"""Wins and losses with their texts."""
_PRODUCTS = 4


def write_page(  # noqa: PLR0913, PLR0917 - a page tells of everything
    recipe: Recipe,
    material: Material,
    done: Mapping[str, Finished],
    role: str,
    judged: Mapping[str, Mapping[str, float]],
    runs: Mapping[str, Run],
    facts: Mapping[str, Any],
    folder: Path,
) -> None:
    """Writes `<role>.md` and its plots into `folder`.

    The page holds texts of queries and products: it stays with the data.
    """
    other = "teacher" if "teacher" in runs else "cosine"
    ours = values(judged, runs["student"])["nDCG@10"]
    theirs = values(judged, runs[other])["nDCG@10"]
    against(ours, theirs, ("student", other), folder / f"{role}.queries.png")
    lines = [f"# {recipe.name}: dev-{role}", "", *_table(facts), ""]
    lines += [
        "Mean over queries with its 95 % bootstrap interval. Differences are the student's, p"
    ]
    lines += ["two-sided from 10,000 sign flips, not corrected.", ""]
    lines += [f"![student against {other}, query by query]({role}.queries.png)", ""]
    if "calibration" in facts:
        lines += _calibration(facts["calibration"], role, folder)
    lines += _words(ours, theirs, other, material, judged, runs)
    lines += ["## Where it comes from", "", "| stage | folder | seconds |", "|---|---|---|"]
    lines += [
        f"| {name} | `{one.folder.name}` | {one.manifest['seconds']:,.0f} |"
        for name, one in done.items()
    ]
    (folder / f"{role}.md").write_text("\n".join(lines) + "\n", encoding="utf-8")


def means_table(facts: Mapping[str, Any]) -> str:
    """The table of an evaluation, dev-report where it was opened."""
    return "\n".join(_table(facts["report" if "report" in facts else "select"]))


def _table(facts: Mapping[str, Any]) -> list[str]:
    lines = ["| set | queries | ranker | measure | mean | student's difference | p |"]
    lines += ["|---|---|---|---|---|---|---|"]
    for name, one in facts.items():
        if name == "calibration":
            continue
        for ranker, means in one["means"].items():
            for measure, mean in means.items():
                test = one["student_against"].get(ranker, {}).get(measure)
                cells = ["", ""]
                if test is not None:
                    d = test["difference"]
                    cells[0] = f"{d['mean']:+.4f} [{d['low']:+.4f}, {d['high']:+.4f}]"
                    cells[1] = f"{test['p_value']:.4f}"
                interval = f"{mean['mean']:.4f} [{mean['low']:.4f}, {mean['high']:.4f}]"
                row = [name, str(one["queries"]), ranker, measure, interval, *cells]
                lines.append("| " + " | ".join(row) + " |")
    return lines


def _calibration(found: Mapping[str, Any], role: str, folder: Path) -> list[str]:
    lines = ["## Calibration", "", "| set | ECE | Brier |", "|---|---|---|"]
    lines += [f"| {n} | {one['ece']:.4f} | {one['brier']:.4f} |" for n, one in found.items()]
    first = next(iter(found))
    bins = [Bin(**one) for one in found[first]["bins"]]
    reliability(bins, found[first]["ece"], folder / f"{role}.reliability.png")
    return [*lines, "", f"![reliability on {first}]({role}.reliability.png)", ""]


def _words(
    ours: Mapping[str, float],
    theirs: Mapping[str, float],
    other: str,
    material: Material,
    judged: Mapping[str, Mapping[str, float]],
    runs: Mapping[str, Run],
) -> list[str]:
    order = sorted(ours, key=lambda query: ours[query] - theirs[query])
    parts = (("Biggest losses", order[:_SHOWN]), ("Biggest wins", order[::-1][:_SHOWN]))
    lines = []
    for title, queries in parts:
        lines += [f"## {title} against the {other}", ""]
        for query in queries:
            change = ours[query] - theirs[query]
            lines += [f"**{material.queries[query]}** ({query}), nDCG@10 {change:+.3f}", ""]
            lines += ["| rank | student | grade | " + other + " | grade |", "|---|---|---|---|---|"]
            tops = [
                sorted(runs[name][query], key=lambda p, n=name: -runs[n][query][p])  # type: ignore[misc]
                for name in ("student", other)
            ]
            for rank, pair in enumerate(zip(*(top[:_PRODUCTS] for top in tops), strict=True), 1):
                cells = [
                    f"{_title(material.products[name])} | {judged[query][name]:.2f}"
                    for name in pair
                ]
                lines.append(f"| {rank} | {' | '.join(cells)} |")
            lines.append("")
    return lines


def _title(product: Mapping[str, Any]) -> str:
    return str(product.get("title", ""))[:70].replace("|", "/").replace("\n", " ")
