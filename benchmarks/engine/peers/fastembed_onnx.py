"""fastembed's TextCrossEncoder with a model of one's own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Any

REQUIREMENTS = ("fastembed==0.9.1", "onnxruntime==1.32.0")
SETTINGS = {"defaults": "fp32", "int8": "reduced"}


def load(job: dict[str, Any]) -> Callable[[str, Sequence[str]], Sequence[float]]:
    """`rerank` with its batches of 64."""
    encoders = import_module("fastembed.rerank.cross_encoder")
    model_source = import_module("fastembed.common.model_description").ModelSource
    file = "onnx/model_int8.onnx" if job["setting"] == "int8" else "onnx/model.onnx"
    encoders.TextCrossEncoder.add_custom_model("ours", model_source(hf="ours/ours"), file)
    model = encoders.TextCrossEncoder(
        "ours", specific_model_path=job["exported"], threads=job["cores"], cuda=False
    )

    def score(query: str, texts: Sequence[str]) -> Sequence[float]:
        return list(model.rerank(query, texts))

    return score
