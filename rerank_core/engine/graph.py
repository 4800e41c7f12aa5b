"""The ONNX graph of a BERT encoder, built from its weights.

Rows of one call are equally long, so there is no padding and no mask: attention needs no bias,
and a mean over the tokens is a plain mean. In the last layer of a [CLS] head only the first token
goes on after keys and values.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

from rerank_core.engine.shape import BertShape, Pooling
from rerank_core.engine.weights import Weights

# Fused operators that the official set lacks: MultiHeadAttention and Gelu.
_FUSED = "com.microsoft"
_OPSET = 17
_IR_VERSION = 9

INPUTS = ("ids", "type_ids", "positions")
OUTPUT = "output"


@dataclass(frozen=True)
class EncoderGraph:
    """A model whose initializers are handed to the session apart from it.

    Beside it they may be of any size; a protobuf message ends at 2 GiB.
    """

    model: onnx.ModelProto
    initializers: dict[str, npt.NDArray[np.generic]]
    columns: int
    """Outputs a row."""


def classifier_graph(weights: Weights, shape: BertShape) -> EncoderGraph:
    """ids, type_ids int32 ``(rows, tokens)``, positions int32 ``(tokens,)`` -> ``(rows, labels)``.

    The head is that of BertForSequenceClassification.
    """
    graph = _Builder(weights, shape)
    row = graph.node("Tanh", graph.dense(graph.encoder(first_token_only=True), "pooler.dense"))
    return graph.finish(graph.dense(row, "classifier"), columns=len(weights["classifier.bias"]))


def embedding_graph(weights: Weights, shape: BertShape, pooling: Pooling) -> EncoderGraph:
    """As `classifier_graph`, to vectors of unit length ``(rows, width)``."""
    graph = _Builder(weights, shape)
    hidden = graph.encoder(first_token_only=pooling == "cls")
    if pooling == "mean":
        hidden = graph.node("ReduceMean", hidden, axes=[1], keepdims=0)
    unit = graph.node("LpNormalization", hidden, axis=-1, p=2)
    return graph.finish(unit, columns=shape.width)


@dataclass
class _Builder:
    weights: Weights
    shape: BertShape
    nodes: list[onnx.NodeProto] = field(default_factory=list)
    initializers: dict[str, npt.NDArray[np.generic]] = field(default_factory=dict)
    axes: dict[str, list[int]] = field(default_factory=dict)

    def node(self, operator: str, *inputs: str, domain: str = "", **attributes: Any) -> str:
        """Appends a node with one output; returns the output's name."""
        output = f"{operator}_{len(self.nodes)}"
        self.nodes.append(
            helper.make_node(operator, inputs, [output], output, domain=domain, **attributes)
        )
        return output

    def constant(self, name: str, value: npt.NDArray[np.generic]) -> str:
        """Declares an initializer; one of the same name is shared."""
        self.initializers.setdefault(name, np.ascontiguousarray(value))
        return name

    def axis(self, number: int) -> str:
        """A list of one integer, inside the graph: shapes are inferred from such as these."""
        name = f"axis_{number}"
        self.axes[name] = [number]
        return name

    def weight(self, name: str) -> str:
        return self.constant(name, self.weights[name])

    def dense(self, x: str, name: str) -> str:
        # Stored as (outputs, inputs); transposed here once rather than at each call.
        kernel = self.constant(f"{name}.weight.T", self.weights[f"{name}.weight"].T)
        return self.node("Add", self.node("MatMul", x, kernel), self.weight(f"{name}.bias"))

    def norm(self, x: str, name: str) -> str:
        # Add + LayerNormalization, not the fused SkipLayerNormalization: that one is slower by
        # a factor of six a row (the session keeps the optimizer from fusing them again).
        scale, bias = self.weight(f"{name}.weight"), self.weight(f"{name}.bias")
        return self.node("LayerNormalization", x, scale, bias, epsilon=self.shape.epsilon)

    def first_token(self, x: str) -> str:
        return self.node("Slice", x, self.axis(0), self.axis(1), self.axis(1))

    def encoder(self, *, first_token_only: bool) -> str:
        """Hidden states ``(rows, tokens, width)``, or ``(rows, width)`` of the first token."""
        ids, type_ids, positions = INPUTS
        x = self.node("Gather", self.weight("embeddings.word_embeddings.weight"), ids)
        types = self.node(
            "Gather", self.weight("embeddings.token_type_embeddings.weight"), type_ids
        )
        place = self.node("Gather", self.weight("embeddings.position_embeddings.weight"), positions)
        x = self.node("Add", x, self.node("Add", types, place))
        x = self.norm(x, "embeddings.LayerNorm")
        for layer in range(self.shape.layers):
            last = layer == self.shape.layers - 1
            x = self.layer(x, f"encoder.layer.{layer}", first_token_only=first_token_only and last)
        if first_token_only:
            x = self.node("Squeeze", x, self.axis(1))
        return x

    def layer(self, x: str, name: str, *, first_token_only: bool) -> str:
        asking = self.first_token(x) if first_token_only else x
        attended = self.node(
            "MultiHeadAttention",
            self.dense(asking, f"{name}.attention.self.query"),
            self.dense(x, f"{name}.attention.self.key"),
            self.dense(x, f"{name}.attention.self.value"),
            domain=_FUSED,
            num_heads=self.shape.heads,
        )
        attended = self.dense(attended, f"{name}.attention.output.dense")
        x = self.norm(self.node("Add", attended, asking), f"{name}.attention.output.LayerNorm")
        inner = self.node("Gelu", self.dense(x, f"{name}.intermediate.dense"), domain=_FUSED)
        outer = self.dense(inner, f"{name}.output.dense")
        return self.norm(self.node("Add", outer, x), f"{name}.output.LayerNorm")

    def finish(self, result: str, *, columns: int) -> EncoderGraph:
        self.nodes.append(helper.make_node("Identity", [result], [OUTPUT]))
        rows = ["rows", "tokens"]
        inputs = [
            helper.make_tensor_value_info(name, TensorProto.INT32, shape)
            for name, shape in zip(INPUTS, (rows, rows, ["tokens"]), strict=True)
        ]
        output = helper.make_tensor_value_info(OUTPUT, TensorProto.FLOAT, ["rows", columns])
        declared = [_declare(name, value) for name, value in self.initializers.items()]
        declared += [
            numpy_helper.from_array(np.array(value, np.int64), name)
            for name, value in self.axes.items()
        ]
        opsets = [helper.make_opsetid("", _OPSET), helper.make_opsetid(_FUSED, 1)]
        graph = helper.make_graph(self.nodes, "bert", inputs, [output], declared)
        model = helper.make_model(graph, opset_imports=opsets, ir_version=_IR_VERSION)
        return EncoderGraph(model, self.initializers, columns)


def _declare(name: str, value: npt.NDArray[np.generic]) -> onnx.TensorProto:
    """An initializer whose content the session brings."""
    tensor = onnx.TensorProto(
        name=name,
        dims=value.shape,
        data_type=helper.np_dtype_to_tensor_dtype(value.dtype),
        data_location=TensorProto.EXTERNAL,
    )
    tensor.external_data.add(key="location", value="weights")
    return tensor
