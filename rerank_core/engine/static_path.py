"""Forward passes in static int8 on ONNX Runtime."""

from __future__ import annotations

from rerank_core.engine.graph import encoder_graph
from rerank_core.engine.onnx_path import OnnxPath
from rerank_core.engine.shape import BertShape, Pooling
from rerank_core.engine.static_graph import Ranges, StaticDense
from rerank_core.engine.weights import Weights
from rerank_core.hashing import hash_json


def static_int8_path(
    weights: Weights, shape: BertShape, pooling: Pooling | None, ranges: Ranges
) -> OnnxPath:
    """An encoder in int8 by calibrated ranges: a row's output is bit-equal in any company.

    Products of int8 are exact, and every float operation of the graph reads one row of tokens or
    one row of outputs, in batches of equal length. Between processors the float parts may differ
    in their last bits.
    """
    graph = encoder_graph(weights, shape, pooling, StaticDense(ranges))
    # Two calibrations of one model give two scores, so the name tells them apart.
    calibration = hash_json({name: [*ends] for name, ends in ranges.items()})[:8]
    return OnnxPath(graph, f"onnxruntime-int8-{calibration}", deterministic=True)
