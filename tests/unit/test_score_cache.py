"""Scores that were computed before: the same bits, for the same pair alone, within the bound."""

from __future__ import annotations

import os
import tracemalloc
from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st

from sidecar.score_cache import ENTRY_BYTES, ScoreCache, pair_key
from sidecar.scorer import _first_gap

TEXT = st.text(max_size=8)


@dataclass(frozen=True)
class Model:
    """What a key is made of."""

    hash: str = "0" * 64
    numeric_path: str = "native-int8"
    deterministic: bool = True


def test_what_was_put_comes_back_bit_for_bit():
    """By its position among the keys; what is not there is left out."""
    cache = ScoreCache(1 << 20)
    score = float.fromhex("0x1.fffffep-3")
    cache.put({b"a": score, b"b": -0.0})
    found = cache.get([b"x", b"b", b"a"])
    assert list(found) == [1, 2]
    assert (found[2].hex(), str(found[1])) == (score.hex(), "-0.0")
    assert (cache.hits, cache.misses) == (2, 1)


def test_what_was_asked_for_longest_ago_makes_room():
    """Three entries' worth of bytes."""
    cache = ScoreCache(3 * ENTRY_BYTES)
    cache.put({b"a": 1.0, b"b": 2.0, b"c": 3.0})
    cache.get([b"a"])
    cache.put({b"d": 4.0})
    assert list(cache.get([b"a", b"b", b"c", b"d"])) == [0, 2, 3]
    assert (len(cache), cache.bytes_kept) == (3, 3 * ENTRY_BYTES)
    cache.bound(ENTRY_BYTES)
    assert list(cache.get([b"a", b"c", b"d"])) == [2]


def test_the_bound_is_of_real_bytes():
    """What Python takes for the entries is no more than is counted."""
    cache = ScoreCache(4 << 20)
    tracemalloc.start()
    before, _ = tracemalloc.get_traced_memory()
    for _ in range(60):
        cache.put({os.urandom(16): float(number) + 0.5 for number in range(1000)})
    taken = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    assert taken <= 4 << 20


def test_a_partial_answer_leaves_out_what_would_overtake():
    """Known: 0, 1, 4, 7. Reached: 2, 3. So it ends behind 4, and 7 would overtake 5 and 6."""
    assert _first_gap({0, 1, 4, 7} | {2, 3}) == 5
    assert _first_gap({0, 1, 4}) == 2
    assert _first_gap({4}) == 0


def test_zero_bytes_and_paths_that_depend_on_company_keep_nothing():
    """The switch, and the rule."""
    assert not ScoreCache(0).serves(Model())
    assert not ScoreCache(1 << 20).serves(Model(deterministic=False))
    assert ScoreCache(1 << 20).serves(Model())


@given(st.tuples(TEXT, TEXT, TEXT, TEXT), st.tuples(TEXT, TEXT, TEXT, TEXT))
def test_keys_are_equal_for_equal_parts_alone(one, other):
    """Model, path, query and text: where two run together, they are still apart."""

    def key(parts):
        model_hash, path, query, text = parts
        return pair_key(Model(model_hash, path), query)(text)

    assert len(key(one)) == 16
    assert (key(one) == key(other)) == (one == other)
