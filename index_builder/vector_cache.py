"""Vectors of texts that come again, however far apart they stand in the catalogue."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Sequence
from hashlib import blake2b

import numpy as np
import numpy.typing as npt

Vector = npt.NDArray[np.float32]

CACHE_BYTES = 64 << 20
"""37,000 vectors of 384 numbers: all of a small catalogue, and the neighbourhood in a large one,
whose offers of one product mostly stand together."""

_KEY_BYTES = 16
# Of an entry beside its numbers, 250 as measured: key, array, place in the table; and rounding.
_OVERHEAD_BYTES = 300


class VectorCache:
    """Vectors of one encoder's latest texts, in at most so many bytes. Safe from any thread.

    The key is a 128-bit hash of the text, so two texts share a vector only where the hash
    collides: with a billion texts once in 10^20.
    """

    def __init__(self, most_bytes: int = CACHE_BYTES) -> None:
        """0 keeps nothing."""
        self._most_bytes = most_bytes
        self._bytes = 0
        self._vectors: OrderedDict[bytes, Vector] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, texts: Sequence[str]) -> list[Vector | None]:
        """The vector of each text, None where it is not known."""
        keys = [_key(text) for text in texts]
        with self._lock:
            found = [self._vectors.get(key) for key in keys]
            for key, vector in zip(keys, found, strict=True):
                if vector is not None:
                    self._vectors.move_to_end(key)
        return found

    def put(self, texts: Sequence[str], vectors: npt.NDArray[np.float32]) -> None:
        """Keeps copies of these rows; what was asked for longest ago makes room."""
        keys = [_key(text) for text in texts]
        with self._lock:
            for key, vector in zip(keys, vectors, strict=True):
                if key not in self._vectors:
                    # A copy: a view would keep the whole chunk.
                    self._vectors[key] = vector.copy()
                    self._bytes += _bytes_of(vector)
            while self._bytes > self._most_bytes:
                _, vector = self._vectors.popitem(last=False)
                self._bytes -= _bytes_of(vector)

    def __len__(self) -> int:
        """How many texts are known."""
        return len(self._vectors)


def _key(text: str) -> bytes:
    return blake2b(text.encode("utf-8", "surrogatepass"), digest_size=_KEY_BYTES).digest()


def _bytes_of(vector: Vector) -> int:
    return vector.nbytes + _OVERHEAD_BYTES
