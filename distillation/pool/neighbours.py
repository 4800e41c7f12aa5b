"""Nearest products by the bi-encoder, exactly."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import cache

import numpy as np
import numpy.typing as npt

from rerank_core.artifact import open_named
from rerank_core.engine import BiEncoder, Engine, load_bi_encoder

Vectors = npt.NDArray[np.float32]
_BLOCK = 256
_ENCODED = 4_096


def encode(
    base: str, texts: Sequence[str], done: Callable[[int], None] = lambda _n: None
) -> Vectors:
    """Unit vectors, shape ``(texts, dimensions)``, as serving computes them."""
    model = _model(base)
    with Engine() as engine:
        parts = []
        for start in range(0, len(texts), _ENCODED):
            part = texts[start : start + _ENCODED]
            parts.append(engine.encode(model, list(part)))
            done(len(part))
    return np.concatenate(parts)


@cache
def _model(base: str) -> BiEncoder:
    return load_bi_encoder(open_named(base))


def nearest(queries: Vectors, products: Vectors, depth: int) -> Iterator[list[int]]:
    """For each query the places of its `depth` nearest products, nearest first."""
    depth = min(depth, len(products))
    for start in range(0, len(queries), _BLOCK):
        cosines = queries[start : start + _BLOCK] @ products.T
        top = np.argpartition(-cosines, depth - 1, axis=1)[:, :depth]
        for row, places in zip(cosines, top, strict=True):
            yield [int(place) for place in places[np.argsort(-row[places], kind="stable")]]
