"""Graphs for peers that bring none of their own: the export of R, and its int8."""

from __future__ import annotations

import logging
import shutil
from pathlib import Path

from benchmarks.engine.folders import copy_model
from rerank_core.artifact import Artifact

_VOCABULARY = "vocab.txt"  # FlashRank stumbles over one beside a tokenizer.json


def export_for_peers(artifact: Artifact, graph: Path, folder: Path) -> Path:
    """A Hugging Face folder with onnx/model.onnx and onnx/model_int8.onnx.

    int8 is ONNX Runtime's dynamic quantisation as its documentation has it: weights of unsigned
    bytes where the processor has no VNNI, whose products of mixed signs would saturate.
    """
    from onnxruntime.quantization import QuantType, quantize_dynamic  # noqa: PLC0415  for this alone

    copy_model(artifact, folder)
    (folder / _VOCABULARY).unlink(missing_ok=True)
    (folder / "onnx").mkdir()
    shutil.copy(graph, folder / "onnx" / "model.onnx")
    vnni = "vnni" in Path("/proc/cpuinfo").read_text(encoding="utf-8")
    before = logging.root.level
    logging.root.setLevel(logging.ERROR)  # it logs advice to the root
    try:
        quantize_dynamic(
            graph,
            folder / "onnx" / "model_int8.onnx",
            weight_type=QuantType.QInt8 if vnni else QuantType.QUInt8,
        )
    finally:
        logging.root.setLevel(before)
    return folder
