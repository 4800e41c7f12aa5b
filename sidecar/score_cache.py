"""Scores of pairs that were scored before, bit for bit."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from hashlib import blake2b

from rerank_core.engine import CrossEncoder

_KEY_BYTES = 16
# Of an entry, as measured: key, float, and their place in the table and its order.
ENTRY_BYTES = 200


class ScoreCache:
    """The latest scores, in at most so many bytes. For one event loop.

    A key is a 128-bit hash of what decides a score: model, numeric path, query and composed text;
    with a billion pairs two share one once in 10^20. No id or version of a caller is in it.
    """

    def __init__(self, most_bytes: int) -> None:
        """0 keeps nothing."""
        self._scores: OrderedDict[bytes, float] = OrderedDict()
        self.hits = 0
        self.misses = 0
        self.bound(most_bytes)

    def bound(self, most_bytes: int) -> None:
        """From now on in so many bytes."""
        self._most = most_bytes // ENTRY_BYTES
        self._trim()

    def serves(self, model: CrossEncoder) -> bool:
        """Whether its scores may be kept: the same pair must always have the same bits."""
        return self._most > 0 and model.deterministic

    def get(self, keys: Iterable[bytes]) -> dict[int, float]:
        """Scores by the position of their key, where there is one."""
        found = {}
        scores = self._scores
        position = -1
        for position, key in enumerate(keys):
            score = scores.get(key)
            if score is not None:
                scores.move_to_end(key)
                found[position] = score
        self.hits += len(found)
        self.misses += position + 1 - len(found)
        return found

    def put(self, scores: Mapping[bytes, float]) -> None:
        """Keeps these; what was asked for longest ago makes room."""
        self._scores.update(scores)
        self._trim()

    def _trim(self) -> None:
        while len(self._scores) > self._most:
            self._scores.popitem(last=False)

    def __len__(self) -> int:
        """How many scores are kept."""
        return len(self._scores)

    @property
    def bytes_kept(self) -> int:
        """Bytes they take."""
        return len(self._scores) * ENTRY_BYTES


def pair_key(model: CrossEncoder, query: str) -> Callable[[str], bytes]:
    """What makes a key of a composed text, for this model and query."""
    head = blake2b(digest_size=_KEY_BYTES)
    for part in (model.hash, model.numeric_path, query):
        content = _encoded(part)
        # Lengths before contents: no two sequences of parts run together to the same bytes.
        head.update(len(content).to_bytes(8, "little"))
        head.update(content)

    def key(text: str) -> bytes:
        digest = head.copy()
        digest.update(_encoded(text))
        return digest.digest()

    return key


def _encoded(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")
