"""Tokens of texts that come again and again, so that a product is tokenised once."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from hashlib import blake2b

from rerank_core.text.tokens import Ids

_KEY_BYTES = 16
# Of an entry beside its ids, as measured: key, array, and their place in the table.
_OVERHEAD_BYTES = 250


class TokenCache:
    """Ids of the latest texts, in at most so many bytes. Safe to use from any thread.

    The key is a 128-bit hash of the whole text, so two texts share ids only where the hash
    collides: with a billion texts once in 10^20.
    """

    def __init__(self, most_bytes: int) -> None:
        """0 keeps nothing."""
        self._most_bytes = most_bytes
        self._bytes = 0
        self._ids: OrderedDict[bytes, Ids] = OrderedDict()
        self._lock = threading.Lock()
        self.hits = 0
        self.misses = 0

    def get(self, keys: Sequence[bytes]) -> list[Ids | None]:
        """The ids of each key, None where there are none."""
        with self._lock:
            found = [self._ids.get(key) for key in keys]
            for key, ids in zip(keys, found, strict=True):
                if ids is not None:
                    self._ids.move_to_end(key)
            missing = sum(ids is None for ids in found)
            self.hits += len(found) - missing
            self.misses += missing
        return found

    def put(self, entries: Iterable[tuple[bytes, Ids]]) -> None:
        """Keeps these; what was asked for longest ago makes room."""
        with self._lock:
            for key, ids in entries:
                if key not in self._ids:
                    self._ids[key] = ids
                    self._bytes += _bytes_of(ids)
            while self._bytes > self._most_bytes:
                _, ids = self._ids.popitem(last=False)
                self._bytes -= _bytes_of(ids)

    def __len__(self) -> int:
        """How many texts are known."""
        return len(self._ids)


def text_key(text: str) -> bytes:
    """A hash of the text, 16 bytes; lone surrogates count as they are."""
    return blake2b(text.encode("utf-8", "surrogatepass"), digest_size=_KEY_BYTES).digest()


def _bytes_of(ids: Ids) -> int:
    return ids.nbytes + _OVERHEAD_BYTES
