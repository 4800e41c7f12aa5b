"""Infinity's engine, called in its own process without its HTTP server."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Any

REQUIREMENTS = (
    "infinity-emb[torch,optimum]==0.0.78",
    "sentence-transformers==3.4.1",
    "transformers==4.57.6",
    "torch==2.15.0",
    "onnxruntime==1.32.0",
    "optimum==2.1.0",
)
SETTINGS = {"torch": "fp32", "optimum": "fp32"}


def load(job: dict[str, Any]) -> Callable[[str, Sequence[str]], Sequence[float]]:
    """`rerank` with raw scores; the engine stays awake between requests."""
    import_module("torch").set_num_threads(job["cores"])
    engines = import_module("infinity_emb")
    exported = job["setting"] == "optimum"
    engine = engines.AsyncEmbeddingEngine.from_args(
        engines.EngineArgs(
            model_name_or_path=job["exported"] if exported else job["folder"],
            engine=job["setting"],
            device="cpu",
            dtype="float32",
            bettertransformer=False,  # its package has no release for this transformers
            compile=False,
            model_warmup=False,
        )
    )
    loop = asyncio.new_event_loop()
    loop.run_until_complete(engine.astart())

    def score(query: str, texts: Sequence[str]) -> Sequence[float]:
        found, _ = loop.run_until_complete(
            engine.rerank(query=query, docs=list(texts), raw_scores=True)
        )
        logits = [0.0] * len(texts)
        for item in found:
            logits[item.index] = item.relevance_score
        return logits

    return score
