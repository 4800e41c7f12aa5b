"""Tokens that are remembered, in a bounded place."""

from __future__ import annotations

import threading

import numpy as np

from rerank_core.text.cache import TokenCache, text_key


def ids(length):
    return np.arange(length, dtype=np.int32)


def test_what_was_put_is_found():
    """By its key, in the order asked; hits and misses are counted."""
    cache = TokenCache(10_000)
    cache.put([(b"a", ids(2)), (b"b", ids(3))])
    found = cache.get([b"b", b"c", b"a"])
    assert [None if one is None else len(one) for one in found] == [3, None, 2]
    assert (cache.hits, cache.misses, len(cache)) == (2, 1, 2)


def test_the_one_asked_for_longest_ago_makes_room():
    """25 ids are 100 bytes, an entry's own 250 beside them: three fit in 1,100 bytes."""
    cache = TokenCache(1_100)
    cache.put((key, ids(25)) for key in (b"a", b"b", b"c"))
    cache.get([b"a"])
    cache.put([(b"d", ids(25))])
    assert [one is not None for one in cache.get([b"a", b"b", b"c", b"d"])] == [1, 0, 1, 1]


def test_the_same_key_twice_counts_once():
    """Two workers may tokenise one text at the same time."""
    cache = TokenCache(750)
    cache.put([(b"a", ids(25)), (b"a", ids(25)), (b"b", ids(25))])
    assert len(cache) == 2


def test_no_room_keeps_nothing():
    """Neither does an entry that is larger than all of the room."""
    for cache in (TokenCache(0), TokenCache(300)):
        cache.put([(b"a", ids(25))])
        assert cache.get([b"a"]) == [None]
        assert len(cache) == 0


def test_keys_differ_where_texts_do():
    """Empty, a blank, and halves of a surrogate pair included."""
    texts = ["", " ", "a", "a ", "\ud83d", "\ud83e", "\U0001f6d2"]
    keys = [text_key(text) for text in texts]
    assert len(set(keys)) == len(texts)
    assert {len(key) for key in keys} == {16}


def test_threads_share_it():
    """Whatever they do at once, an entry is whole and the bound holds."""
    cache = TokenCache(20_000)
    faults = []

    def work(seed):
        random = np.random.default_rng(seed)
        for _ in range(300):
            lengths = random.integers(1, 200, 5).tolist()
            cache.put((str(length).encode(), ids(length)) for length in lengths)
            for length, found in zip(
                lengths, cache.get([str(n).encode() for n in lengths]), strict=True
            ):
                if found is not None and len(found) != length:
                    faults.append(length)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not faults
    held = [
        found for found in cache.get([str(n).encode() for n in range(200)]) if found is not None
    ]
    assert len(held) == len(cache)
    assert sum(found.nbytes + 250 for found in held) <= 20_000
