"""Weights as the native kernel takes them: padded to whole tiles, rotated, rounded."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from rerank_core.engine import native_library as native
from rerank_core.engine.shape import BertShape, Pooling
from rerank_core.engine.weights import POOLER, Weights

Floats = npt.NDArray[np.float32]

# As native/sizes.h pads.
_TILE_COLUMNS = 64
_VECTOR_FLOATS = 16

# As native/sizes.h rotates.
_ROTATED = 64


def int16_limit(inputs: int) -> int:
    """The largest int16 of which a sum of `inputs` products still fits an int32."""
    return math.isqrt((2**31 - 1) // inputs)


def quantise_weight(weight: Floats, *, int16: bool = False) -> tuple[npt.NDArray[Any], Floats]:
    """int8 or int16 ``(outputs, inputs)`` and a scale an output, so that weight = it * scale."""
    limit = int16_limit(weight.shape[1]) if int16 else 127
    most = np.abs(weight).max(axis=1)
    scales = np.where(most > 0, most, 1.0).astype(np.float32) / np.float32(limit)
    rounded = np.clip(np.rint(weight / scales[:, None]), -limit, limit)
    return rounded.astype(np.int16 if int16 else np.int8), scales


def rotate(rows: Floats) -> Floats:
    """Blocks of 64 columns of `rows`, whose width is whole blocks, times H / 64.

    The kernel turns activations by H, Hadamard's matrix. H H^T is 64 times the identity, so
    products stay what they are; but a channel that stands out is spread over its block, and int8
    then has finer steps for the others. As in QuaRot, Ashkboos et al. 2024, arXiv:2404.00456.
    """
    blocks = rows.reshape(len(rows), -1, _ROTATED)
    turned: Floats = (blocks @ _HADAMARD).reshape(rows.shape)
    return turned


def _hadamard(size: int) -> Floats:
    matrix = np.ones((1, 1), np.float32)
    while len(matrix) < size:
        matrix = np.block([[matrix, matrix], [matrix, -matrix]])
    return matrix


_HADAMARD = _hadamard(_ROTATED) / np.float32(_ROTATED)


@dataclass
class PackedModel:
    """The C structures of one model; they point into the arrays that are kept here."""

    weights: Weights
    shape: BertShape
    int16: bool = False
    """Otherwise int8."""
    tables: list[npt.NDArray[np.generic]] = field(default_factory=list)
    """The embeddings, which the library reads in place."""
    copied: list[npt.NDArray[np.generic]] = field(default_factory=list)
    """All else, of use until the library has made its encoder."""

    def c_shape(self) -> native.Shape:
        """Sizes before padding."""
        shape = self.shape
        return native.Shape(
            shape.layers,
            shape.width,
            shape.heads,
            shape.head_width,
            shape.ffn_width,
            shape.vocabulary,
            shape.positions,
            shape.token_types,
            shape.epsilon,
        )

    def c_weights(self) -> native.Weights:
        """The encoder without its head."""
        layers = (native.Layer * self.shape.layers)(
            *(self._layer(f"encoder.layer.{layer}") for layer in range(self.shape.layers))
        )
        names = ("word_embeddings", "position_embeddings", "token_type_embeddings")
        self.tables = [
            np.ascontiguousarray(self.weights[f"embeddings.{name}.weight"], np.float32)
            for name in names
        ]
        return native.Weights(
            *(table.ctypes.data for table in self.tables),
            self._norm("embeddings.LayerNorm"),
            layers,
        )

    def c_head(self, pooling: Pooling | None) -> native.Head:
        """The classifier where `pooling` is None, otherwise the way to a vector."""
        if pooling is not None:
            kind = native.MEAN_VECTOR if pooling == "mean" else native.FIRST_VECTOR
            return native.Head(kind=kind, outputs=self.shape.width)
        columns = _round_up(self.shape.width, _TILE_COLUMNS)
        head = native.Head(kind=native.CLASSIFIER, outputs=len(self.weights["classifier.bias"]))
        if self.shape.pooler:
            pooler, bias = self._matrix(POOLER)
            head.pooler = self._float(_pad(pooler.T, columns, columns))
            head.pooler_bias = self._float(_pad(bias, columns))
        outputs = _round_up(head.outputs, _VECTOR_FLOATS)
        head.classifier = self._float(_pad(self.weights["classifier.weight"].T, columns, outputs))
        head.classifier_bias = self._float(_pad(self.weights["classifier.bias"], outputs))
        return head

    def _layer(self, name: str) -> native.Layer:
        query, key, value = (
            self._matrix(f"{name}.attention.self.{part}") for part in ("query", "key", "value")
        )
        scale = np.float32(1 / np.sqrt(self.shape.head_width))
        query = (query[0] * scale, query[1] * scale)
        output, output_bias = self._matrix(f"{name}.attention.output.dense")
        ffn_in, ffn_in_bias = self._matrix(f"{name}.intermediate.dense")
        ffn_out, ffn_out_bias = self._matrix(f"{name}.output.dense")
        columns = _round_up(self.shape.width, _TILE_COLUMNS)
        ffn_columns = _round_up(self.shape.ffn_width, _TILE_COLUMNS)
        key_value = [self._heads(*key), self._heads(*value)]
        return native.Layer(
            query=self._dense(*self._heads(*query)),
            key_value=self._dense(
                *(np.concatenate(parts) for parts in zip(*key_value, strict=True))
            ),
            attention_output=self._dense(
                _pad(self._spread(output.T).T, columns), _pad(output_bias, columns)
            ),
            ffn_in=self._dense(_pad(ffn_in, ffn_columns, columns), _pad(ffn_in_bias, ffn_columns)),
            ffn_out=self._dense(_pad(ffn_out, columns, ffn_columns), _pad(ffn_out_bias, columns)),
            attention_norm=self._norm(f"{name}.attention.output.LayerNorm"),
            output_norm=self._norm(f"{name}.output.LayerNorm"),
        )

    def _matrix(self, name: str) -> tuple[Floats, Floats]:
        return self.weights[f"{name}.weight"], self.weights[f"{name}.bias"]

    def _heads(self, weight: Floats, bias: Floats) -> tuple[Floats, Floats]:
        columns = _round_up(self.shape.width, _TILE_COLUMNS)
        return self._spread(_pad(weight, len(weight), columns)), self._spread(bias)

    def _spread(self, rows: Floats) -> Floats:
        """Rows ``(heads * head_width, ...)`` with each head padded to whole vectors."""
        shape = self.shape
        head_columns = _round_up(shape.head_width, _VECTOR_FLOATS)
        by_head = rows.reshape(shape.heads, shape.head_width, *rows.shape[1:])
        gap = [(0, 0), (0, head_columns - shape.head_width)] + [(0, 0)] * (rows.ndim - 1)
        flat = np.pad(by_head, gap).reshape(shape.heads * head_columns, *rows.shape[1:])
        return _pad(flat, _round_up(len(flat), _TILE_COLUMNS))

    def _dense(self, weight: Floats, bias: Floats) -> native.Dense:
        rounded, scales = quantise_weight(rotate(weight), int16=self.int16)
        return native.Dense(
            self._keep(rounded), self._float(scales), self._float(bias), *weight.shape
        )

    def _norm(self, name: str) -> native.Norm:
        columns = _round_up(self.shape.width, _TILE_COLUMNS)
        return native.Norm(
            *(self._float(_pad(self.weights[f"{name}.{part}"], columns)) for part in _NORM_PARTS)
        )

    def _float(self, array: npt.NDArray[np.floating]) -> int:
        return self._keep(array.astype(np.float32, copy=False))

    def _keep(self, array: npt.NDArray[np.generic]) -> int:
        """The address of an array that from now on lives as long as this does."""
        contiguous = np.ascontiguousarray(array)
        self.copied.append(contiguous)
        return contiguous.ctypes.data


_NORM_PARTS = ("weight", "bias")


def _round_up(value: int, step: int) -> int:
    return -(-value // step) * step


def _pad(array: Floats, *sizes: int) -> Floats:
    """`array` with zeros up to `sizes`; axes without one stay as they are."""
    gap = [(0, size - old) for size, old in zip(sizes, array.shape, strict=False)]
    return np.pad(array, gap + [(0, 0)] * (array.ndim - len(gap)))
