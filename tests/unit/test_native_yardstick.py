"""The padding of the yardstick that the native kernel is measured against."""

from __future__ import annotations

from benchmarks.engine.tei_policy import padded
from rerank_core.text import PackedTokens


def test_padding_by_hand():
    """A batch is as wide as its longest row; the mask ends where a row does."""
    feed = padded(PackedTokens.pack([[5, 6, 7], [8]], 2))
    assert feed["input_ids"].tolist() == [[5, 6, 7], [8, 0, 0]]
    assert feed["attention_mask"].tolist() == [[1, 1, 1], [1, 0, 0]]
    assert feed["token_type_ids"].tolist() == [[0, 0, 1], [0, 0, 0]]
