"""How much work a request is, before a text of it is tokenised."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import numpy.typing as npt

from rerank_core.engine import CostModel, Model, Product

# A first guess; what requests really take corrects it.
_CHARACTERS_PER_TOKEN = 4
_SPECIAL_TOKENS = 3

_WEIGHT = 0.1
_MOST_SURPRISE = 4.0


class WorkEstimate:
    """Worker-milliseconds of requests to one model. Safe to use from any thread.

    The engine's cost model, over tokens guessed from characters, times what finished requests took
    of what was foretold: words of another language, tokenising and the company of other programs
    are in that one figure.
    """

    def __init__(self) -> None:
        self._scale = 1.0
        self._seen = 0
        self._lock = threading.Lock()

    def work_ms(self, cost: CostModel, lengths: npt.NDArray[np.int64]) -> float:
        """What rows of such lengths take, all workers' time together."""
        return self._scale * cost.request_ms(lengths)

    def observe(self, foretold_ms: float, worked_ms: float) -> None:
        """Learns from a request that was scored whole."""
        if foretold_ms <= 0 or worked_ms <= 0:
            return
        surprise = min(max(worked_ms / foretold_ms, 1 / _MOST_SURPRISE), _MOST_SURPRISE)
        with self._lock:
            self._seen += 1
            # The first ones count for more, since nothing is known before them.
            self._scale *= surprise ** max(_WEIGHT, 1 / (self._seen + 1))


def token_lengths(model: Model, query: str, products: Sequence[Product]) -> npt.NDArray[np.int64]:
    """Tokens of each pair, guessed from its characters and cut as the recipe cuts, ``(pairs,)``."""
    recipe = model.artifact.manifest.recipe
    characters = np.fromiter(
        # Nearly all are texts, and a thousand calls a request are a tenth of a millisecond.
        (
            len(item) if isinstance(item, str) else _characters(item, recipe.fields)
            for item in products
        ),
        np.int64,
        len(products),
    )
    tokens = np.minimum(characters // _CHARACTERS_PER_TOKEN + 1, recipe.product_tokens)
    head = min(len(query) // _CHARACTERS_PER_TOKEN + 1, recipe.query_tokens)
    lengths: npt.NDArray[np.int64] = tokens + (head + _SPECIAL_TOKENS)
    return lengths


def _characters(product: Mapping[str, object], fields: Iterable[str]) -> int:
    return sum(_length(product, name) for name in fields)


def _length(product: Mapping[str, object], name: str) -> int:
    value = product.get(name, "")
    return sum(map(len, value)) if isinstance(value, tuple) else len(str(value))
