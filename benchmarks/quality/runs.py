"""Runs that follow from the legs' runs and the scores of a cross-encoder."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from benchmarks.quality.plan import LEGS, Plan
from rerank_core.cluster.fusion import Fused, fuse
from rerank_core.cluster.profile import Profile
from rerank_core.engine import CrossEncoder, Engine, Priority
from rerank_core.measures import Judgments, Run, ranked
from sidecar.arrangement import arrange
from sidecar.ranking import Candidate, place


def hybrid(legs: Mapping[str, Run], plan: Plan) -> Run:
    """Both legs fused, by the same code as in the sidecar; all of both."""
    fused = {}
    for query in legs[LEGS[0]]:
        found = {
            leg: [(key, legs[leg][query][key]) for key in ranked(legs[leg][query])] for leg in LEGS
        }
        fused[query] = {one.id: one.score for one in fuse(plan.method, found, plan.weights)}
    return fused


def score_all(
    engine: Engine,
    model: CrossEncoder,
    queries: Mapping[str, str],
    runs: Sequence[Run],
    texts: Mapping[str, str],
    tick: Callable[[str], None],
) -> Run:
    """The logit of every product that any of the runs holds for a query, each computed once."""
    scores: dict[str, dict[str, float]] = {}
    for number, (query, text) in enumerate(queries.items(), start=1):
        keys = sorted(set().union(*(run[query] for run in runs)))
        stream = engine.submit(model, text, [texts[key] for key in keys], priority=Priority.BATCH)
        scores[query] = {keys[index]: float(logit) for index, logit in stream}
        tick(f"scored {number} of {len(queries)} queries")
    return scores


def cut(run: Run, depth: int) -> Run:
    """The best `depth` of each query."""
    return {
        query: {key: scores[key] for key in ranked(scores)[:depth]} for query, scores in run.items()
    }


def reranked(run: Run, scores: Run, depth: int, blend: float = 0.0) -> Run:
    """The best `depth` of each query by `scores`, what is below as it was; scores are places.

    By the code of the sidecar, which blends in that share of the run's own scores.
    """
    profile = Profile(alias="measured", blend=blend)
    done = {}
    for query, found in run.items():
        order = ranked(found)
        fused = [Fused(key, found[key], ()) for key in order]
        candidates = [
            Candidate(key, number, number + 1, found[key]) for number, key in enumerate(order)
        ]
        logits = {number: scores[query][key] for number, key in enumerate(order[:depth])}
        arranged = arrange(fused, place(candidates, logits, None), profile, query, {})
        done[query] = {hit.id: -float(number) for number, hit in enumerate(arranged)}
    return done


def ideal(run: Run, judgments: Judgments) -> Run:
    """The candidates in the order of their grades: what no reranker can pass."""
    return {
        query: {key: judgments[query].get(key, 0.0) for key in found}
        for query, found in run.items()
    }


def condensed(run: Run, judgments: Judgments) -> Run:
    """Without what nobody judged, so that the judged move up. Sakai, SIGIR 2007."""
    return {
        query: {key: score for key, score in found.items() if key in judgments[query]}
        for query, found in run.items()
    }
