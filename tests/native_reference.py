"""BERT in NumPy: in float64, or with the products in integers as the native kernel makes them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from scipy.special import erf

from rerank_core.engine.native_library import Precision, instruction_sets, load_library
from rerank_core.engine.native_weights import int16_limit, quantise_weight, rotate
from rerank_core.engine.shape import BertShape
from rerank_core.text import PackedTokens

_EMULATED: dict[Precision, list[str]] = {
    "int8": ["amx-emulated"],
    "int8-bf16": ["amx-emulated-bf16"],
    "int16": [],
}


def runnable_sets(precision: Precision = "int8", library: Path | None = None) -> list[str]:
    """Instruction sets of this machine, and AMX's kernel on emulated tiles where AVX-512 is."""
    found = load_library(library)
    emulated = _EMULATED[precision] if "avx512-vnni" in instruction_sets(found) else []
    return instruction_sets(found, precision) + emulated


def every_set() -> list[tuple[Precision, str]]:
    """The same, of all precisions."""
    return [(precision, name) for precision in _EMULATED for name in runnable_sets(precision)]


def random_weights(
    shape: BertShape, seed: int = 0, *, outputs: int = 1, spread: float = 0.15
) -> dict[str, np.ndarray]:
    """Every tensor of a cross-encoder; a few input channels are loud, as in trained models."""
    random = np.random.default_rng(seed)
    width, ffn = shape.width, shape.ffn_width
    weights: dict[str, np.ndarray] = {}

    def dense(name: str, rows: int, columns: int) -> None:
        weights[f"{name}.weight"] = random.normal(0, spread, (rows, columns)).astype(np.float32)
        weights[f"{name}.bias"] = random.normal(0, spread, rows).astype(np.float32)

    def norm(name: str) -> None:
        scale = 1 + random.normal(0, 0.1, width)
        scale[random.integers(0, width, 2)] *= 6
        weights[f"{name}.weight"] = scale.astype(np.float32)
        weights[f"{name}.bias"] = random.normal(0, 0.1, width).astype(np.float32)

    tables = {
        "word": shape.vocabulary,
        "position": shape.positions,
        "token_type": shape.token_types,
    }
    for table, rows in tables.items():
        weights[f"embeddings.{table}_embeddings.weight"] = random.normal(
            0, 0.5, (rows, width)
        ).astype(np.float32)
    norm("embeddings.LayerNorm")
    for layer in range(shape.layers):
        name = f"encoder.layer.{layer}"
        for part in ("query", "key", "value"):
            dense(f"{name}.attention.self.{part}", width, width)
        dense(f"{name}.attention.output.dense", width, width)
        norm(f"{name}.attention.output.LayerNorm")
        dense(f"{name}.intermediate.dense", ffn, width)
        dense(f"{name}.output.dense", width, ffn)
        norm(f"{name}.output.LayerNorm")
    if shape.pooler:
        dense("pooler.dense", width, width)
    dense("classifier", outputs, width)
    return weights


def random_rows(shape: BertShape, lengths: list[int], seed: int = 0) -> PackedTokens:
    """Rows of random tokens, the second segment from the fourth token on."""
    random = np.random.default_rng(seed)
    rows = [random.integers(0, shape.vocabulary, length).tolist() for length in lengths]
    return PackedTokens.pack(rows, 3)


def layer_norm(x: np.ndarray, scale: np.ndarray, shift: np.ndarray, epsilon: float) -> np.ndarray:
    centred = x - x.mean(axis=-1, keepdims=True)
    variance = (centred**2).mean(axis=-1, keepdims=True)
    return centred / np.sqrt(variance + epsilon) * scale + shift


def gelu(x: np.ndarray) -> np.ndarray:
    return x * 0.5 * (1 + erf(x / np.sqrt(2)))


def softmax(x: np.ndarray) -> np.ndarray:
    share = np.exp(x - x.max(axis=-1, keepdims=True))
    return share / share.sum(axis=-1, keepdims=True)


def rounded_product(x: np.ndarray, weight: np.ndarray, *, int16: bool) -> np.ndarray:
    """The product x W^T in integers of x and W turned: a scale a row, a scale an output."""
    gap = [(0, 0), (0, -x.shape[-1] % 64)]
    turned = rotate(np.pad(np.asarray(weight, np.float32), gap))
    rounded, scales = quantise_weight(turned, int16=int16)
    x = rotate(np.pad(x, gap)) * 64
    limit = int16_limit(x.shape[-1]) if int16 else 127
    x_scales = np.maximum(np.abs(x).max(axis=-1, keepdims=True), 1e-30) / limit
    return (np.rint(x / x_scales) @ rounded.T.astype(np.float64)) * x_scales * scales


class Reference:
    """Outputs of rows, one at a time."""

    def __init__(self, weights, shape, pooling=None, precision: Precision | None = "int8") -> None:
        """With no precision in float64."""
        self.weights, self.shape, self.pooling = weights, shape, pooling
        self.precision = precision

    def forward(self, tokens: PackedTokens) -> np.ndarray:
        """Shape ``(rows, columns)``, float64."""
        spans = zip(tokens.offsets[:-1], tokens.offsets[1:], strict=True)
        return np.stack(
            [self._row(tokens.ids[begin:end], tokens.type_ids[begin:end]) for begin, end in spans]
        )

    def _dense(self, x, name):
        weight, bias = self.weights[f"{name}.weight"], self.weights[f"{name}.bias"]
        if self.precision is None:
            return x @ weight.T.astype(np.float64) + bias
        return rounded_product(x, weight, int16=self.precision == "int16") + bias

    def _norm(self, x, name):
        scale, shift = self.weights[f"{name}.weight"], self.weights[f"{name}.bias"]
        return layer_norm(x, scale, shift, self.shape.epsilon)

    def _row(self, ids, type_ids):
        table = {
            key: self.weights[f"embeddings.{key}_embeddings.weight"].astype(np.float64)
            for key in ("word", "position", "token_type")
        }
        x = table["word"][ids] + table["position"][: len(ids)] + table["token_type"][type_ids]
        x = self._norm(x, "embeddings.LayerNorm")
        for layer in range(self.shape.layers):
            x = self._layer(x, layer)
        return self._head(x)

    def _layer(self, x, layer):
        name, shape = f"encoder.layer.{layer}", self.shape
        parts = [f"{name}.attention.self.{part}" for part in ("query", "key", "value")]
        query, key, value = (
            self._dense(x, part).reshape(len(x), shape.heads, -1).swapaxes(0, 1) for part in parts
        )
        scores = softmax(query @ key.swapaxes(1, 2) / np.sqrt(shape.head_width))
        context = (scores @ value).swapaxes(0, 1).reshape(len(x), -1)
        x = self._norm(
            x + self._dense(context, f"{name}.attention.output.dense"),
            f"{name}.attention.output.LayerNorm",
        )
        inner = gelu(self._dense(x, f"{name}.intermediate.dense"))
        return self._norm(
            x + self._dense(inner, f"{name}.output.dense"), f"{name}.output.LayerNorm"
        )

    def _head(self, x):
        if self.pooling is not None:
            vector = x.mean(axis=0) if self.pooling == "mean" else x[0]
            return vector / np.linalg.norm(vector)
        state = x[0]
        if self.shape.pooler:
            pooler, bias = self.weights["pooler.dense.weight"], self.weights["pooler.dense.bias"]
            state = np.tanh(pooler.astype(np.float64) @ state + bias)
        return self.weights["classifier.weight"] @ state + self.weights["classifier.bias"]
