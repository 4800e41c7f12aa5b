"""The ONNX graph of a BERT encoder, built from its weights.

Rows of one call are equally long, so there is no padding and no mask: attention needs no bias,
and a mean over the tokens is a plain mean. In the last layer of a [CLS] head only the first token
goes on after keys and values.

How the encoder's products are computed is an argument, so that fp32, fp16 and int8 share one graph.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

from rerank_core.engine.shape import BertShape, Pooling
from rerank_core.engine.weights import POOLER, Weights
from rerank_core.errors import ArtifactError

# Fused operators that the official set lacks: MultiHeadAttention and Gelu.
FUSED = "com.microsoft"
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


class Dense(Protocol):
    """Appends the product of `x` with a matrix of the encoder, and its bias."""

    def __call__(self, graph: GraphBuilder, x: str, name: str) -> str:
        """Returns the output's name; `name` is that of the weights without ``.weight``."""


def dense(graph: GraphBuilder, x: str, name: str) -> str:
    """The product as it is, in the graph's own type."""
    # Stored as (outputs, inputs); transposed here once rather than at each call.
    kernel = graph.constant(f"{name}.weight.T", graph.weights[f"{name}.weight"].T)
    return graph.node("Add", graph.node("MatMul", x, kernel), graph.weight(f"{name}.bias"))


def encoder_graph(
    weights: Weights,
    shape: BertShape,
    pooling: Pooling | None,
    products: Dense = dense,
    *,
    half: bool = False,
) -> EncoderGraph:
    """ids, type_ids int32 ``(rows, tokens)``, positions int32 ``(tokens,)`` -> ``(rows, columns)``.

    Without `pooling` the columns are logits by the head of BertForSequenceClassification, with it
    a vector of unit length. With `half` weights and products are fp16; outputs are fp32 always.
    """
    graph = GraphBuilder(weights, shape, products, half)
    if pooling is None:
        state = graph.encoder(first_token_only=True)
        if shape.pooler:
            state = graph.node("Tanh", graph.head(state, POOLER))
        logits = graph.head(state, "classifier")
        return graph.finish(graph.float32(logits), columns=len(weights["classifier.bias"]))
    vector = graph.float32(graph.encoder(first_token_only=pooling == "cls"))
    if pooling == "mean":
        vector = graph.token_sum(vector)  # of the mean's direction, and length comes next
    size = graph.node("ReduceL2", vector, axes=[-1], keepdims=1)
    return graph.finish(graph.node("Div", vector, size), columns=shape.width)


@dataclass
class GraphBuilder:
    """Appends the nodes of one encoder."""

    weights: Weights
    shape: BertShape
    products: Dense
    half: bool = False
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
        if name not in self.initializers:
            if self.half and value.dtype == np.float32:
                value = _half(name, value)
            self.initializers[name] = np.ascontiguousarray(value)
        return name

    def axis(self, number: int) -> str:
        """A list of one integer, inside the graph: shapes are inferred from such as these."""
        name = f"axis_{number}"
        self.axes[name] = [number]
        return name

    def weight(self, name: str) -> str:
        """A tensor of the model."""
        return self.constant(name, self.weights[name])

    def float32(self, x: str) -> str:
        """`x` in fp32."""
        return self.node("Cast", x, to=TensorProto.FLOAT) if self.half else x

    def head(self, row: str, name: str) -> str:
        """The product of a matrix with one row a time ``(rows, width)``, and its bias.

        One product over all rows would be computed in another order for one row than for many.
        """
        column = self.node("Unsqueeze", row, self.axis(2))
        product = self.node("MatMul", self.weight(f"{name}.weight"), column)
        flat = self.node("Squeeze", product, self.axis(2))
        return self.node("Add", flat, self.weight(f"{name}.bias"))

    def norm(self, x: str, name: str) -> str:
        """Layer normalisation."""
        # Add + LayerNormalization, not the fused SkipLayerNormalization: that one is slower by
        # a factor of six a row (the session keeps the optimizer from fusing them again).
        scale, bias = self.weight(f"{name}.weight"), self.weight(f"{name}.bias")
        return self.node("LayerNormalization", x, scale, bias, epsilon=self.shape.epsilon)

    def first_token(self, x: str) -> str:
        """Of ``(rows, tokens, width)``, as ``(rows, 1, width)``."""
        return self.node("Slice", x, self.axis(0), self.axis(1), self.axis(1))

    def token_sum(self, x: str) -> str:
        """Of fp32 ``(rows, tokens, width)``, as ``(rows, width)``.

        A product with ones: a reduction adds in another order for one row than for many.
        """
        positions = INPUTS[-1]
        ones = self.node("Equal", positions, positions)
        return self.node("MatMul", self.node("Cast", ones, to=TensorProto.FLOAT), x)

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
        """One layer of the encoder."""
        asking = self.first_token(x) if first_token_only else x
        attended = self.node(
            "MultiHeadAttention",
            self.products(self, asking, f"{name}.attention.self.query"),
            self.products(self, x, f"{name}.attention.self.key"),
            self.products(self, x, f"{name}.attention.self.value"),
            domain=FUSED,
            num_heads=self.shape.heads,
        )
        attended = self.products(self, attended, f"{name}.attention.output.dense")
        x = self.norm(self.node("Add", attended, asking), f"{name}.attention.output.LayerNorm")
        inner = self.node(
            "Gelu", self.products(self, x, f"{name}.intermediate.dense"), domain=FUSED
        )
        outer = self.products(self, inner, f"{name}.output.dense")
        return self.norm(self.node("Add", outer, x), f"{name}.output.LayerNorm")

    def finish(self, result: str, *, columns: int) -> EncoderGraph:
        """The graph whose output is `result`."""
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
        opsets = [helper.make_opsetid("", _OPSET), helper.make_opsetid(FUSED, 1)]
        graph = helper.make_graph(self.nodes, "bert", inputs, [output], declared)
        model = helper.make_model(graph, opset_imports=opsets, ir_version=_IR_VERSION)
        return EncoderGraph(model, self.initializers, columns)


def _half(name: str, value: npt.NDArray[np.generic]) -> npt.NDArray[np.float16]:
    if np.abs(value).max(initial=0) > np.finfo(np.float16).max:
        raise ArtifactError(f"tensor {name} is beyond fp16; choose a path of fp32 or int8")
    return value.astype(np.float16)


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
