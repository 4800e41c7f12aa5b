"""The quality gate of a numeric path: does it rank as fp32 does."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from distillation.evaluation import cross_encoder_scorer, rank
from distillation.lists import check_judged
from distillation.publication import JudgedSet
from rerank_core.engine import CrossEncoder, Engine
from rerank_core.errors import InputError
from rerank_core.measures import (
    BeirFolder,
    Equivalence,
    Interval,
    Judgments,
    Scale,
    bootstrap,
    equivalence_test,
    evaluate_judged_list,
    kendall_tau,
    mixed,
)

MARGIN = 0.005
"""Of nDCG@10: what nobody sees."""
WANTED_TAU = 0.98
ENOUGH = 500
"""Queries from which a margin as small as this can be shown at all."""


@dataclass(frozen=True)
class Verdict:
    """One set, ranked on both paths; judged list protocol, the model's whole recipe."""

    data: str
    ndcg: Equivalence
    """nDCG@10 of the path against that of fp32."""
    tau: Interval
    """Kendall's tau of both orders, mean over queries."""
    worst_query: str
    """Its id: a set's texts may not be ours to publish."""
    worst_tau: float


def judge(
    path: CrossEncoder, exact: CrossEncoder, root: Path, one: JudgedSet, engine: Engine
) -> Verdict:
    """A model on a path against itself in fp32, on one set under `root`.

    Raises `InputError` and `ConfigError` for data that cannot be used.
    """
    data = BeirFolder(root / one.folder)
    queries, products = data.queries(), data.products()
    judged = data.judgments(one.split)
    check_judged(queries, products, judged)
    return judge_lists(path, exact, one.name, (queries, products, mixed(judged)), one.scale, engine)


def judge_lists(
    path: CrossEncoder,
    exact: CrossEncoder,
    name: str,
    data: tuple[Mapping[str, str], Mapping[str, Mapping[str, Any]], Judgments],
    scale: Scale,
    engine: Engine,
    *,
    margin: float = MARGIN,
) -> Verdict:
    """The same on queries, products and judgments at hand; `margin` of nDCG@10.

    Raises `InputError` where no query can be compared.
    """
    queries, products, judgments = data
    recipe = exact.artifact.manifest.recipe
    theirs, ours = (
        rank(cross_encoder_scorer(engine, model), queries, products, judgments, recipe)
        for model in (exact, path)
    )
    taus = kendall_tau(ours, theirs)
    if not taus:
        raise InputError(name, "has no query whose products are graded and scored apart")
    worst = min(taus, key=lambda query: (taus[query], query))
    return Verdict(
        data=name,
        ndcg=equivalence_test(
            evaluate_judged_list(judgments, ours, scale).values["nDCG@10"],
            evaluate_judged_list(judgments, theirs, scale).values["nDCG@10"],
            margin,
        ),
        tau=bootstrap(taus),
        worst_query=worst,
        worst_tau=taus[worst],
    )


def line(verdict: Verdict) -> str:
    """A verdict as people read it."""
    ndcg, tau = verdict.ndcg, verdict.tau
    return (
        f"{verdict.data}: nDCG@10 {ndcg.difference:+.5f} over {ndcg.queries} queries, within "
        f"+-{ndcg.margin} with p = {ndcg.p_value:.2g}; tau {tau.mean:.4f} "
        f"[{tau.low:.4f}, {tau.high:.4f}] (wanted: {WANTED_TAU}), worst {verdict.worst_tau:.2f} "
        f"at query {verdict.worst_query}"
    )


def record(path: CrossEncoder, verdicts: Sequence[Verdict]) -> dict[str, Any]:
    """What is kept of a gate, as JSON values."""
    return {
        "model": path.name,
        "model_hash": path.hash,
        "numeric_path": path.numeric_path,
        "path_reason": path.path_reason,
        "sets": [asdict(verdict) for verdict in verdicts],
    }
