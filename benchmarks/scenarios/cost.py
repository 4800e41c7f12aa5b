"""What a request costs by candidates, tokens, threads, layers, int8 and fp32; one caller."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace

import numpy as np

from benchmarks.engine.folders import copy_model
from benchmarks.points import Factor, Point, series_point
from benchmarks.rounds import interleaved
from benchmarks.scenarios.ground import NO_CACHE, Ground, documents
from benchmarks.workload.draw import Wish
from benchmarks.workload.traffic import Traffic
from rerank_client import RerankClient
from rerank_core.artifact import Artifact, seal_artifact
from rerank_core.text import ProductTextRecipe, TextEncoder

ABOUT = (
    "Service time of one caller alone over gRPC, no score cache, interleaved rounds. One factor "
    "moves at a time; the rest stays at the base: titles, the run's candidates, all cores, all "
    "layers, the default path. Fewer layers are the first ones of the same model: for speed alone."
)

_CANDIDATES = (10, 30, 100, 300, 1000)
_QUICK_CANDIDATES = (10, 30, 100)
_TOKENS = (32, 64, 128, 256)
_LAYERS = (2, 3)
_TIMEOUT_S = 120.0


@dataclass(frozen=True)
class _Contender:
    factors: dict[str, Factor]
    client: RerankClient
    traffic: Traffic
    model: Artifact
    """What its server serves: it decides how long a text the model reads."""

    @property
    def key(self) -> str:
        """Equal for the same texts asked of the same server."""
        return f"{id(self.client)} {self.traffic.name} {self.traffic.header.candidates_a_turn}"


def points(ground: Ground) -> Iterator[Point]:
    """All contenders at once, so that all see the same machine."""
    rounds = int(ground.pick(15, 5))
    with ExitStack() as stack:
        contenders = list(_contenders(ground, stack, rounds))
        # The base stands for several factors, and is asked once a round.
        distinct = {one.key: one for one in contenders}
        taken = interleaved(
            {key: _asking(one) for key, one in distinct.items()},
            rounds,
            tell=lambda done: ground.tell(f"cost, round {done} of {rounds}"),
        )
    for one in contenders:
        figures = {
            "tokens_a_pair": tokens_a_pair(one.traffic, one.model, rounds),
            "candidates": one.traffic.header.candidates_a_turn,
        }
        yield series_point(one.factors, {"service_ms": taken[one.key]}, figures)


def _asking(one: _Contender) -> Callable[[int], float]:
    def once(number: int) -> float:
        query, asked = documents(one.traffic, number % len(one.traffic.questions))
        began = time.perf_counter()
        one.client.rerank(query, asked, strict=True)
        return (time.perf_counter() - began) * 1e3

    return once


def _contenders(ground: Ground, stack: ExitStack, questions: int) -> Iterator[_Contender]:
    def serve(
        *flags: str, model: Artifact | None = None, path: str | None = None
    ) -> tuple[RerankClient, Artifact]:
        chosen = model or ground.artifact
        serving = ground.sidecar(*NO_CACHE, *flags, model=chosen.folder, numeric_path=path)
        target = stack.enter_context(serving).target
        ground.tell(f"cost, {', '.join(flags) or path or chosen.folder.name} serves")
        return stack.enter_context(RerankClient(target, timeout_s=_TIMEOUT_S)), chosen

    def wish(candidates: int) -> Wish:
        return Wish(turns=questions, questions=questions, candidates=(candidates,))

    base, own = serve()
    usual = ground.traffic(wish(ground.candidates))
    for count in _QUICK_CANDIDATES if ground.quick else _CANDIDATES:
        factors: dict[str, Factor] = {"varied": "candidates", "candidates": float(count)}
        yield _Contender(factors, base, ground.traffic(wish(count)), own)
    one_worker, _ = serve("--workers", "1")
    yield _Contender({"varied": "threads", "threads": "1"}, one_worker, usual, own)
    yield _Contender({"varied": "threads", "threads": "all"}, base, usual, own)
    in_fp32, _ = serve(path="onnxruntime")
    yield _Contender({"varied": "path", "path": "default"}, base, usual, own)
    yield _Contender({"varied": "path", "path": "fp32"}, in_fp32, usual, own)
    layers = int(own.object("config.json")["num_hidden_layers"])
    yield _Contender({"varied": "layers", "layers": float(layers)}, base, usual, own)
    for count in (count for count in _LAYERS if count < layers):
        fewer = variant(ground, f"{count}-layers", own.manifest.recipe, layers=count)
        factors = {"varied": "layers", "layers": float(count)}
        yield _Contender(factors, *_pair(serve(model=fewer), usual))
    described = ground.long_traffic(wish(ground.candidates))
    for count in _TOKENS[:2] if ground.quick else _TOKENS:
        recipe = replace(own.manifest.recipe, product_tokens=count)
        reading = variant(ground, f"{count}-tokens", recipe)
        factors = {"varied": "tokens", "product_tokens": float(count)}
        yield _Contender(factors, *_pair(serve(model=reading), described))


def _pair(
    served: tuple[RerankClient, Artifact], traffic: Traffic
) -> tuple[RerankClient, Traffic, Artifact]:
    client, model = served
    return client, traffic, model


def variant(
    ground: Ground, name: str, recipe: ProductTextRecipe, layers: int | None = None
) -> Artifact:
    """A copy of the run's model that reads by another recipe, or has its first layers alone."""
    folder = copy_model(ground.artifact, ground.scratch / name, layers)
    return seal_artifact(folder, name=name, kind="cross-encoder", recipe=recipe)


def tokens_a_pair(traffic: Traffic, model: Artifact, questions: int) -> float:
    """Mean tokens of a pair as the model reads them, of the first so many questions."""
    tokenizer_json = (model.folder / "tokenizer.json").read_text(encoding="utf-8")
    encoder = TextEncoder(tokenizer_json, model.manifest.recipe)
    lengths = [
        encoder.pairs(asked.query, [traffic.texts[at] for at in asked.texts]).lengths
        for asked in traffic.questions[:questions]
    ]
    return float(np.mean(np.concatenate(lengths)))
