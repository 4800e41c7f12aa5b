"""What properties are tried on."""

from __future__ import annotations

from hypothesis import strategies as st

# Lone surrogates and control characters too: a caller's text may be anything.
any_characters = st.text(
    st.one_of(st.characters(), st.sampled_from(" \t\n\x00\x85\xa0\ud800")), max_size=60
)

words = st.sampled_from(["oak", "shelf", "15", "m", "3/8", "工具", "café", "antidisestablishment"])
phrases = st.lists(words, max_size=40).map(" ".join)

numbers = st.one_of(st.integers(), st.floats(allow_nan=False, allow_infinity=False))
scalars = st.one_of(st.none(), st.booleans(), numbers, any_characters)
field_values = st.one_of(scalars, st.lists(scalars, max_size=4))

token_rows = st.lists(st.lists(st.integers(0, 30521), max_size=9), max_size=12)
"""Rows of ids, some of them empty."""
