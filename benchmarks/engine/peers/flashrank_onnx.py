"""FlashRank. It knows models by name, so ours lies where it keeps one of its own."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from importlib import import_module
from math import log
from pathlib import Path
from typing import Any

REQUIREMENTS = ("flashrank==0.2.10", "onnxruntime==1.32.0")
# What it ships is int8, so that is its default.
SETTINGS = {"defaults (int8)": "reduced", "fp32": "fp32"}

_NAME, _FILE = "ms-marco-MiniLM-L-12-v2", "flashrank-MiniLM-L-12-v2_Q.onnx"


def load(job: dict[str, Any]) -> Callable[[str, Sequence[str]], Sequence[float]]:
    """`rerank`, its probabilities turned back into logits."""
    flashrank = import_module("flashrank")
    exported, folder = Path(job["exported"]), Path(job["scratch"]) / _NAME
    folder.mkdir(parents=True)
    for name in ("config.json", "tokenizer.json", "tokenizer_config.json"):
        shutil.copy(exported / name, folder / name)
    shutil.copy(exported / "special_tokens_map.json", folder / "special_tokens_map.json")
    source = "model.onnx" if job["setting"] == "fp32" else "model_int8.onnx"
    shutil.copy(exported / "onnx" / source, folder / _FILE)
    ranker = flashrank.Ranker(_NAME, cache_dir=job["scratch"], max_length=512)

    def score(query: str, texts: Sequence[str]) -> Sequence[float]:
        passages = [{"id": place, "text": text} for place, text in enumerate(texts)]
        found = ranker.rerank(flashrank.RerankRequest(query=query, passages=passages))
        logits = [0.0] * len(texts)
        for passage in found:
            chance = float(passage["score"])
            logits[passage["id"]] = log(chance / (1 - chance))
        return logits

    return score
