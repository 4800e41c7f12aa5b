"""The parts of a model card that are measured, not written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from string import Template
from typing import Any

from distillation.evaluation import Comparison
from distillation.watch import best_point
from rerank_core.errors import ConfigError


def fill_card(path: Path, metrics: Mapping[str, Any], comparisons: Sequence[Comparison]) -> str:
    """A card's Markdown with ``$facts`` and ``$table`` put in.

    Raises `ConfigError` for a card that cannot be read or has another placeholder.
    """
    try:
        card = Template(path.read_text(encoding="utf-8"))
        return card.substitute(facts=training_facts(metrics), table=comparison_table(comparisons))
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror or error}") from error
    except (KeyError, ValueError) as error:
        raise ConfigError(
            f"{path}: {error}; a card has $facts and $table, write $$ for $"
        ) from error


def training_facts(metrics: Mapping[str, Any]) -> str:
    """How a run went, as a Markdown list."""
    versions = ", ".join(f"{name} {number}" for name, number in metrics["versions"].items())
    chosen = best_point(metrics["curve"])
    minutes = metrics["wall_seconds"] / 60
    run = f"{metrics['steps']:,} steps, seed {metrics['seed']}, {minutes:.0f} minutes"
    machine = f"{metrics['processor']}, {metrics['threads']} threads"
    reached = f"pairwise accuracy {chosen['pairwise_accuracy']:.4f} on the half of dev that chooses"
    lines = [
        f"{run} on {machine}; {versions}",
        f"published: the weights after step {chosen['step']:,.0f}, {reached}",
    ]
    hashes = metrics["data"] | {"the weights it started from": metrics["base"]}
    lines += [f"sha256 of {name}: `{value}`" for name, value in hashes.items()]
    return "\n".join(f"- {line}" for line in lines)


def comparison_table(comparisons: Sequence[Comparison]) -> str:
    """One row a set, ranker and measure, as a Markdown table; the protocol is in each row."""
    lines = [
        "| data | protocol | queries | text | ranker | measure | mean | against cosine | p |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for one in comparisons:
        for measure, mean in one.means().items():
            difference, p_value = "", ""
            if measure in one.tests:
                spread = one.tests[measure].difference
                difference = f"{spread.mean:+.4f} [{spread.low:+.4f}, {spread.high:+.4f}]"
                p_value = f"{one.tests[measure].p_value:.4f}"
            lines.append(
                f"| {one.data} | {one.evaluation.protocol} | {one.queries} | {one.text} "
                f"| {one.ranker} | {measure} | {mean.mean:.4f} [{mean.low:.4f}, {mean.high:.4f}] "
                f"| {difference} | {p_value} |"
            )
    return "\n".join(lines)
