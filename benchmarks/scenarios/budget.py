"""Quality against budget: what a shorter deadline costs in scored documents and in nDCG."""

from __future__ import annotations

import math
import random
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import fmean

import numpy as np

from benchmarks.points import Point, series_point
from benchmarks.scenarios.ground import NO_CACHE, Ground
from benchmarks.statistics import spread
from rerank_client import Document, Ranking, RerankClient
from rerank_core.artifact import open_named
from rerank_core.engine import Engine, load_bi_encoder
from rerank_core.measures import BeirFolder, Scale, evaluate_judged_list, mixed

ABOUT = (
    "Judged lists of the dev queries in the order of the bi-encoder's cosine, reranked one at a "
    "time by an idle server within a budget, the caller's deadline. nDCG@10 is on human grades, "
    "linear gain; 0 ms is the order as it came. Each list meets all budgets, in an order of its "
    "own. Kept is the share of the whole rerank's first ten that the answer has in its first ten; "
    "gain is nDCG@10 less that of the order as it came, its 95 % interval by bootstrap over lists."
)

_BUDGETS_MS = (30, 50, 75, 100, 150, 200, 300, 500)
_QUICK_BUDGETS_MS = (30, 75, 200)
_PATIENCE_MS = 60_000.0
_SETS = ("esci150", "icecat", "homedepot")
_TOP = 10
_MOST_TEXTS = 100
_SEED = 11


@dataclass(frozen=True)
class _List:
    query: str
    documents: list[Document]
    """In first-stage order."""


def points(ground: Ground) -> Iterator[Point]:
    """The order as it came, budgets from short to long, and no budget."""
    folder = ground.folder(*_SETS)
    lists, judgments, scale = _lists(ground, folder)
    before = {name: _by_place([one.id for one in asked.documents]) for name, asked in lists.items()}
    with (
        ground.sidecar(*NO_CACHE) as sidecar,
        RerankClient(sidecar.target, timeout_s=_PATIENCE_MS / 1e3) as client,
    ):
        whole = {name: _ask(client, asked, _PATIENCE_MS)[0] for name, asked in lists.items()}
        short = _QUICK_BUDGETS_MS if ground.quick else _BUDGETS_MS
        budgets = [*map(float, short), math.inf]
        as_it_came = evaluate_judged_list(judgments, before, scale).values["nDCG@10"]

        def point(budget_ms: float | str, answers: dict[str, tuple[Ranking, float]]) -> Point:
            orders = {
                name: [one.id for one in ranking.documents]
                for name, (ranking, _) in answers.items()
            }
            run = {name: _by_place(order) for name, order in orders.items()}
            values = evaluate_judged_list(judgments, run, scale).values["nDCG@10"]
            kept = [_kept(order, whole[name]) for name, order in orders.items()]
            return series_point(
                {"set": folder.path.name, "budget_ms": budget_ms},
                {
                    "latency_ms": [ms for _, ms in answers.values()],
                    "scored_share": [
                        ranking.scored / len(ranking.documents) for ranking, _ in answers.values()
                    ],
                    "ndcg_at_10": [values[name] for name in sorted(values)],
                    "kept_of_10": kept,
                },
                {
                    "ndcg_at_10_mean": fmean(values.values()),
                    "kept_of_10_mean": fmean(kept),
                    "scored_share_mean": fmean(
                        ranking.scored / len(ranking.documents) for ranking, _ in answers.values()
                    ),
                    "nothing_scored_share": fmean(
                        ranking.scored == 0 for ranking, _ in answers.values()
                    ),
                    **_gain(
                        [values[name] for name in sorted(values)],
                        [as_it_came[name] for name in sorted(values)],
                    ),
                    **{f"because_{reason}": float(n) for reason, n in _reasons(answers).items()},
                },
            )

        values = as_it_came
        kept = [
            _kept([one.id for one in asked.documents], whole[name]) for name, asked in lists.items()
        ]
        yield series_point(
            {"set": folder.path.name, "budget_ms": 0.0},
            {"ndcg_at_10": [values[name] for name in sorted(values)], "kept_of_10": kept},
            {
                "ndcg_at_10_mean": fmean(values.values()),
                "kept_of_10_mean": fmean(kept),
                "scored_share_mean": 0.0,
            },
        )
        ground.tell(f"{len(lists)} judged lists within {len(budgets)} budgets")
        answers = _ask_all(client, lists, budgets)
        for budget_ms, found in answers.items():
            yield point("none" if math.isinf(budget_ms) else budget_ms, found)


def _ask_all(
    client: RerankClient, lists: dict[str, _List], budgets: list[float]
) -> dict[float, dict[str, tuple[Ranking, float]]]:
    """By budget and list. What the server learns of its speed it learns for all budgets alike."""
    dice = random.Random(_SEED)  # noqa: S311  the same orders every time
    answers: dict[float, dict[str, tuple[Ranking, float]]] = {one: {} for one in budgets}
    for name, asked in lists.items():
        for budget_ms in dice.sample(budgets, len(budgets)):
            answers[budget_ms][name] = _ask(client, asked, min(budget_ms, _PATIENCE_MS))
    return answers


def _gain(values: Sequence[float], before: Sequence[float]) -> dict[str, float]:
    gained = [one - other for one, other in zip(values, before, strict=True)]
    around = spread(gained, np.mean)
    return {"gain_mean": fmean(gained), "gain_low": around.low, "gain_high": around.high}


def _lists(
    ground: Ground, folder: BeirFolder
) -> tuple[dict[str, _List], dict[str, dict[str, float]], Scale]:
    """Judged lists of mixed grades, at most 100 documents of each, by the bi-encoder's cosine."""
    products, queries = folder.products(), folder.queries()
    judged = folder.judgments("dev")
    grades = [grade for scores in judged.values() for grade in scores.values()]
    fields = ground.artifact.manifest.recipe.fields
    encoder = load_bi_encoder(open_named("minilm"))
    compose = encoder.artifact.manifest.recipe.compose
    found: dict[str, _List] = {}
    kept: dict[str, dict[str, float]] = {}
    with Engine() as engine:
        ground.tell(f"ordering judged lists of {folder.path.name}")
        for name, scores in mixed(judged).items():
            ids = sorted(one for one in scores if one in products)
            query = engine.encode(encoder, [queries[name]])[0]
            cosines = engine.encode(encoder, [compose(products[one]) for one in ids]) @ query
            order = [ids[at] for at in (-cosines).argsort(kind="stable")][:_MOST_TEXTS]
            documents = [Document(one, fields=_fields(products[one], fields)) for one in order]
            found[name] = _List(queries[name], documents)
            kept[name] = {one: scores[one] for one in order}
    still = mixed(kept)
    return (
        {name: found[name] for name in still},
        {name: dict(scores) for name, scores in still.items()},
        Scale(min(grades), max(grades)),
    )


def _ask(client: RerankClient, asked: _List, budget_ms: float) -> tuple[Ranking, float]:
    began = time.perf_counter()
    ranking = client.rerank(asked.query, asked.documents, timeout_s=budget_ms / 1e3)
    return ranking, (time.perf_counter() - began) * 1e3


def _reasons(answers: dict[str, tuple[Ranking, float]]) -> Counter[str]:
    return Counter(",".join(one.degraded) for one, _ in answers.values() if one.degraded)


def _kept(order: list[str], whole: Ranking) -> float:
    wanted = {one.id for one in whole.documents[:_TOP]}
    return len(wanted & set(order[:_TOP])) / len(wanted)


def _by_place(order: list[str]) -> dict[str, float]:
    return {name: -float(place) for place, name in enumerate(order)}


def _fields(product: dict[str, object], names: tuple[str, ...]) -> dict[str, list[str]]:
    found = {name: product.get(name) for name in names}
    return {
        name: [str(item) for item in (value if isinstance(value, list) else [value])]
        for name, value in found.items()
        if value not in (None, "", [])
    }
