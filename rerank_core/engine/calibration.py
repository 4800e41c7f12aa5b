"""How far each channel of an encoder's inputs reaches, measured in fp32 on given rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime as ort
from onnx import TensorProto, helper

from rerank_core.engine.graph import INPUTS, embedding_graph
from rerank_core.engine.native_weights import ALPHA, Smoothing
from rerank_core.engine.onnx_path import equal_length_units, rectangles, session_options
from rerank_core.engine.shape import BertShape
from rerank_core.engine.weights import Weights
from rerank_core.errors import ArtifactError
from rerank_core.text import PackedTokens


@dataclass(frozen=True)
class Calibration:
    """What `Manifest.quantisation` holds."""

    data: str
    """The texts it was measured on."""
    rows: int
    layers: Sequence[Smoothing]

    def to_manifest(self) -> dict[str, Any]:
        """As JSON, magnitudes to four digits: what they are used for is a ratio."""
        return {
            "method": "SmoothQuant",
            "alpha": ALPHA,
            "data": self.data,
            "rows": self.rows,
            "layers": [
                {
                    "attention_input": _digits(layer.attention_input),
                    "ffn_input": _digits(layer.ffn_input),
                }
                for layer in self.layers
            ],
        }


def calibrate(weights: Weights, shape: BertShape, tokens: PackedTokens, data: str) -> Calibration:
    """The largest magnitudes of the inputs of each layer's attention and feed-forward network.

    A few hundred rows as they are served will do. Raises `ArtifactError` where there are none.
    """
    if not len(tokens):
        raise ArtifactError("calibration needs at least one row of tokens")
    # The graph that keeps all tokens to the end, so that the last layer is measured as the others.
    graph = embedding_graph(weights, shape, "mean")
    names = [
        _input_of(graph.model, f"encoder.layer.{layer}.{matrix}.weight.T")
        for layer in range(shape.layers)
        for matrix in ("attention.self.key", "intermediate.dense")
    ]
    for name in dict.fromkeys(names):
        graph.model.graph.output.append(
            helper.make_tensor_value_info(name, TensorProto.FLOAT, ["rows", "tokens", shape.width])
        )
    options = session_options()
    initializers = list(graph.initializers)
    options.add_external_initializers(
        initializers,
        [ort.OrtValue.ortvalue_from_numpy(graph.initializers[name]) for name in initializers],
    )
    session = ort.InferenceSession(
        graph.model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    reached = [np.zeros(shape.width, np.float32) for _ in names]
    for unit in equal_length_units(tokens.lengths):
        ids, type_ids = rectangles(tokens.rows(unit))
        positions = np.arange(ids.shape[1], dtype=np.int32)
        feed = dict(zip(INPUTS, (ids, type_ids, positions), strict=True))
        for most, states in zip(reached, session.run(names, feed), strict=True):
            np.maximum(most, np.abs(states).max(axis=(0, 1)), out=most)
    pairs = zip(reached[::2], reached[1::2], strict=True)
    return Calibration(data, len(tokens), tuple(Smoothing(*pair) for pair in pairs))


def _input_of(model: onnx.ModelProto, matrix: str) -> str:
    """What is multiplied with a matrix."""
    for node in model.graph.node:
        if node.op_type == "MatMul" and node.input[1] == matrix:
            return str(node.input[0])
    raise ArtifactError(f"the graph does not multiply by {matrix}")


def _digits(values: npt.NDArray[np.float32]) -> list[float]:
    return [float(f"{value:.4g}") for value in values]
