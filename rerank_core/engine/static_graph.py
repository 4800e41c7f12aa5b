"""The encoder's products in int8, with scales that are fixed when the graph is built."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from rerank_core.engine.graph import FUSED, GraphBuilder
from rerank_core.engine.shape import BertShape

Ranges = Mapping[str, tuple[float, float]]
"""The lowest and the highest value of each quantised input, by `input_names`."""

# Weights of seven bits. Without VNNI two products u8 x s8 are added in 16 bits, which saturate at
# 32,767: 2 x 255 x 64 = 32,640 fits, 2 x 255 x 127 does not, and a product would depend on the
# processor.
_WEIGHT_STEPS = 64
_ACTIVATION_STEPS = 255


def input_names(shape: BertShape) -> list[str]:
    """What is quantised: one input for query, key and value, and one for each other matrix."""
    parts = ("attention.self", "attention.output.dense", "intermediate.dense", "output.dense")
    return [f"encoder.layer.{layer}.{part}" for layer in range(shape.layers) for part in parts]


def input_of(dense_name: str) -> str:
    """The name in `input_names` of what a matrix is multiplied with."""
    stem, part = dense_name.rsplit(".", 1)
    return stem if part in ("query", "key", "value") else dense_name


@dataclass
class StaticDense:
    """`Dense` with activations in uint8, one range a tensor, and weights in int8 an output."""

    ranges: Ranges
    quantised: dict[str, str] = field(default_factory=dict)
    """Tensor to its uint8 form, so that query, key and value share one."""

    def __call__(self, graph: GraphBuilder, x: str, name: str) -> str:
        """As `Dense`."""
        source = input_of(name)
        scale_value, zero_value = affine(*self.ranges[source])
        scale = graph.constant(f"{source}.scale", scale_value)
        zero = graph.constant(f"{source}.zero", zero_value)
        if x not in self.quantised:
            self.quantised[x] = graph.node("QuantizeLinear", x, scale, zero)
        kernel, kernel_scales = quantise_weight(graph.weights[f"{name}.weight"])
        return graph.node(
            "MatMulIntegerToFloat",
            self.quantised[x],
            graph.constant(f"{name}.int8", kernel.T),
            scale,
            graph.constant(f"{name}.scales", kernel_scales),
            zero,
            "",  # weights are symmetric
            graph.weight(f"{name}.bias"),
            domain=FUSED,
        )


def affine(lowest: float, highest: float) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.uint8]]:
    """Scale and zero point of uint8 for a range, widened to hold 0, which stays exact."""
    lowest, highest = min(lowest, 0.0), max(highest, 0.0)
    scale = max((highest - lowest) / _ACTIVATION_STEPS, 1e-12)
    return np.array(scale, np.float32), np.array(round(-lowest / scale), np.uint8)


def quantise_weight(
    weight: npt.NDArray[np.float32],
) -> tuple[npt.NDArray[np.int8], npt.NDArray[np.float32]]:
    """A matrix ``(outputs, inputs)`` in -64..64 and a scale an output."""
    scales = np.maximum(np.abs(weight).max(axis=1), np.float32(1e-30)) / np.float32(_WEIGHT_STEPS)
    return np.rint(weight / scales[:, None]).astype(np.int8), scales
