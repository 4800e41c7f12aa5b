"""The encoder in plain NumPy, float32: slow, short, and what every path is held against.

It is written after the paper (Devlin et al. 2019) and `transformers.BertModel`, shares no code with
the paths, and needs none of their libraries: a server starts without waiting for those that it
does not compute with.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from rerank_core.engine.shape import BertShape, Pooling
from rerank_core.engine.weights import POOLER, Weights
from rerank_core.text import PackedTokens

_Array = npt.NDArray[np.float32]


def plain_outputs(
    weights: Weights, shape: BertShape, pooling: Pooling | None, tokens: PackedTokens
) -> _Array:
    """Logits, or with `pooling` vectors of unit length, of each row, ``(rows, columns)``.

    Weights that are too large give NaN or infinity, as they would anywhere.
    """
    with np.errstate(all="ignore"):
        return _Plain(weights, shape, pooling).outputs(tokens)


class _Plain:
    def __init__(self, weights: Weights, shape: BertShape, pooling: Pooling | None) -> None:
        self._weights = weights
        self._shape = shape
        self._pooling = pooling

    def outputs(self, tokens: PackedTokens) -> _Array:
        """See `plain_outputs`."""
        spans = [
            slice(int(begin), int(end))
            for begin, end in zip(tokens.offsets[:-1], tokens.offsets[1:], strict=True)
        ]
        x = self._embeddings(tokens, spans)
        for layer in range(self._shape.layers):
            x = self._layer(x, f"encoder.layer.{layer}", spans)
        if self._pooling is None:
            first = np.stack([x[span.start] for span in spans])
            state = np.tanh(self._dense(first, POOLER)) if self._shape.pooler else first
            return self._dense(state, "classifier")
        vectors = np.stack(
            [x[span].mean(axis=0) if self._pooling == "mean" else x[span.start] for span in spans]
        )
        unit: _Array = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
        return unit

    def _embeddings(self, tokens: PackedTokens, spans: list[slice]) -> _Array:
        """Of all rows' tokens, one after the other, ``(tokens, width)``."""
        places = np.concatenate([np.arange(span.stop - span.start) for span in spans])
        given = {"word": tokens.ids, "position": places, "token_type": tokens.type_ids}
        x = sum(
            self._weights[f"embeddings.{table}_embeddings.weight"][rows]
            for table, rows in given.items()
        )
        return self._norm(np.asarray(x, np.float32), "embeddings.LayerNorm")

    def _layer(self, x: _Array, name: str, spans: list[slice]) -> _Array:
        query, key, value = (
            self._dense(x, f"{name}.attention.self.{part}") for part in ("query", "key", "value")
        )
        attended = np.concatenate(
            [self._attention(query[span], key[span], value[span]) for span in spans]
        )
        attended = self._dense(attended, f"{name}.attention.output.dense")
        x = self._norm(x + attended, f"{name}.attention.output.LayerNorm")
        inner = _gelu(self._dense(x, f"{name}.intermediate.dense"))
        return self._norm(
            x + self._dense(inner, f"{name}.output.dense"), f"{name}.output.LayerNorm"
        )

    def _attention(self, query: _Array, key: _Array, value: _Array) -> _Array:
        """Of one row, each ``(tokens, width)``, by head."""
        shape = self._shape
        query, key, value = (
            part.reshape(-1, shape.heads, shape.head_width).swapaxes(0, 1)
            for part in (query, key, value)
        )
        weight = query @ key.swapaxes(1, 2) / np.float32(np.sqrt(shape.head_width))
        weight = np.exp(weight - weight.max(axis=-1, keepdims=True))
        weight /= weight.sum(axis=-1, keepdims=True)
        attended: _Array = (weight @ value).swapaxes(0, 1).reshape(-1, shape.width)
        return attended

    def _dense(self, x: _Array, name: str) -> _Array:
        product: _Array = x @ self._weights[f"{name}.weight"].T + self._weights[f"{name}.bias"]
        return product

    def _norm(self, x: _Array, name: str) -> _Array:
        centred = x - x.mean(axis=-1, keepdims=True)
        variance = (centred**2).mean(axis=-1, keepdims=True)
        unit = centred / np.sqrt(variance + np.float32(self._shape.epsilon))
        scaled: _Array = unit * self._weights[f"{name}.weight"] + self._weights[f"{name}.bias"]
        return scaled


# Abramowitz and Stegun 7.1.26, from the highest power down; off the error function by 1.5e-7 at
# most. NumPy has none, and SciPy's is a quarter of a second to import.
_ERF = (1.061405429, -1.453152027, 1.421413741, -0.284496736, 0.254829592, 0.0)
_ERF_P = 0.3275911


def _gelu(x: _Array) -> _Array:
    """The activation: x times the share of the normal distribution below x."""
    size = np.abs(x) / np.float32(np.sqrt(2))
    t = 1 / (1 + np.float32(_ERF_P) * size)
    tail = np.polyval(np.array(_ERF, np.float32), t) * np.exp(-size * size)
    share: _Array = (np.where(x < 0, tail, 2 - tail) / 2).astype(np.float32)
    return x * share
