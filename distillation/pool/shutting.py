"""Keeps judged queries, and queries nearly like them, out of what is learned from."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from sklearn.feature_extraction.text import CountVectorizer

from rerank_core.text import clean

_BLOCK = 2_000
"""Queries compared at once: 2,000 x 1,300 judged ones are 20 MB."""


def normalised(query: str) -> str:
    """Lower case, single spaces, no other change."""
    return clean(query).lower()


def shut_out(
    queries: Sequence[str], judged: Sequence[str], *, likeness: float = 0.8
) -> dict[int, str]:
    """Index of each query that must not be learned from, to the judged query it is too like.

    Too like is: the same words in any order, or a Jaccard index of character trigrams of
    `likeness` or more.
    """
    if not queries or not judged:
        return {}
    texts, others = [normalised(one) for one in queries], [normalised(one) for one in judged]
    by_words = {_words(text): text for text in others}
    found = {
        index: by_words[_words(text)]
        for index, text in enumerate(texts)
        if _words(text) in by_words
    }
    if not any(others):  # no trigram to compare
        return found
    vectorizer = CountVectorizer(
        analyzer="char_wb", ngram_range=(3, 3), binary=True, dtype=np.int32
    )
    right = vectorizer.fit_transform(others)
    right_sizes = np.asarray(right.sum(axis=1)).ravel()
    counter = CountVectorizer(analyzer="char_wb", ngram_range=(3, 3), binary=True, dtype=np.int32)
    for start in range(0, len(texts), _BLOCK):
        part = texts[start : start + _BLOCK]
        if not any(part):
            continue
        # A trigram that no judged query has counts in the union all the same.
        left_sizes = np.asarray(counter.fit_transform(part).sum(axis=1)).ravel()
        shared = (vectorizer.transform(part) @ right.T).tocoo()
        union = left_sizes[shared.row] + right_sizes[shared.col] - shared.data
        for hit in np.flatnonzero(shared.data >= likeness * union):
            found.setdefault(start + int(shared.row[hit]), others[int(shared.col[hit])])
    return found


def _words(text: str) -> tuple[str, ...]:
    return tuple(sorted(text.split()))
