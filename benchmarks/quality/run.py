"""The whole measurement: candidates, scores, and what follows from them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from benchmarks.machine import load_average, this_machine
from benchmarks.quality.collection import Collection
from benchmarks.quality.comparisons import AFTER, compare
from benchmarks.quality.figures import CEILING, NDCG, RECALL, Values, measure, measure_candidates
from benchmarks.quality.first_stage import FirstStage, find_candidates
from benchmarks.quality.plan import Plan
from benchmarks.quality.result import FORMAT, About, Depth, QualityResult, System
from benchmarks.quality.runs import cut, hybrid, reranked, score_all
from rerank_core.artifact import open_named
from rerank_core.cluster.settings import ClusterSettings
from rerank_core.engine import CrossEncoder, Engine, load_cross_encoder
from rerank_core.measures import Run, bootstrap, write_run


@dataclass(frozen=True)
class Measured:
    """The result, and what it follows from."""

    result: QualityResult
    collection: Collection
    runs: Mapping[str, Run]
    """By system."""
    scores: Run
    """The cross-encoder's logit of every candidate of every system."""


def measure_quality(
    plan: Plan, collection: Collection, settings: ClusterSettings, say: Callable[[str], None]
) -> Measured:
    """Raises `ConfigError`, `InputError`, `ArtifactError`, `ClusterError`."""
    before = load_average()
    model = load_cross_encoder(open_named(plan.reranker))
    with Engine() as engine:
        found = find_candidates(plan, collection.queries, settings, engine, say)
        by_depth = {
            depth: {**legs, "hybrid": cut(hybrid(legs, plan), depth)}
            for depth, legs in found.legs.items()
        }
        every = [run for runs in by_depth.values() for run in runs.values()]
        scores = score_all(engine, model, collection.queries, every, found.texts, say)
    candidates, most = by_depth[plan.depth], plan.rerank_depth or plan.depth
    after = {
        AFTER.format(name): reranked(run, scores, most, plan.blend)
        for name, run in candidates.items()
    }
    values: dict[str, Values] = {
        name: {
            **measure(run, collection),
            **measure_candidates(run, collection, plan.depth, plan.relevant),
        }
        for name, run in candidates.items()
    }
    values |= {name: measure(run, collection) for name, run in after.items()}
    result = QualityResult(
        format=FORMAT,
        machine=this_machine(),
        load_before=before,
        load_after=load_average(),
        about=_about(plan, collection, found, model),
        systems=tuple(_system(name, one) for name, one in values.items()),
        sweep=tuple(
            _depth(plan, collection, name, by_depth[depth][name], scores, depth)
            for name in candidates
            for depth in plan.depths
        ),
        comparisons=compare(values),
    )
    return Measured(result, collection, {**candidates, **after}, scores)


def write_runs(measured: Measured, folder: Path) -> None:
    """A TREC run a system and one of all logits, as other tools read them. Raises `InputError`."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, run in {**measured.runs, "logits": measured.scores}.items():
        tag = name.replace(", ", "-")
        write_run(run, folder / f"{tag}.run", tag=tag)


def _about(plan: Plan, collection: Collection, found: FirstStage, model: CrossEncoder) -> About:
    return About(
        data=plan.data.name,
        split=plan.split,
        queries=len(collection.queries),
        left_out=collection.left_out,
        products=len(collection.products),
        scale=(collection.scale.floor, collection.scale.top),
        relevant=collection.relevant(plan.relevant),
        cluster=found.cluster,
        encoder=Path(plan.encoder).name,
        encoder_hash=found.encoder_hash,
        reranker=Path(plan.reranker).name,
        reranker_hash=model.hash,
        numeric_path=model.numeric_path,
        templates=dict(found.templates),
        method=plan.method,
        weights=plan.weights,
        depth=plan.depth,
        gates=found.gates,
        rerank_depth=plan.rerank_depth,
        blend=plan.blend,
    )


def _system(name: str, values: Values) -> System:
    means = {measure: bootstrap(by_query) for measure, by_query in values.items() if by_query}
    return System(name, means, {measure: dict(by_query) for measure, by_query in values.items()})


def _depth(
    plan: Plan, collection: Collection, leg: str, run: Run, scores: Run, depth: int
) -> Depth:
    after = measure(reranked(run, scores, depth), collection)
    candidates = measure_candidates(run, collection, depth, plan.relevant)
    return Depth(
        leg=leg,
        depth=depth,
        ndcg=bootstrap(after[NDCG]),
        recall=bootstrap(candidates[RECALL]),
        ceiling=bootstrap(candidates[CEILING]),
    )
