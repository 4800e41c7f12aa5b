"""Properties of product text and token rows."""

from __future__ import annotations

import functools
import itertools

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from rerank_core.artifact import named_folder
from rerank_core.text import PackedTokens, ProductTextRecipe, TextEncoder, clean
from tests.property.strategies import any_characters, field_values, phrases, token_rows

RECIPE = ProductTextRecipe(fields=("a", "b"), query_tokens=7, product_tokens=11)


@functools.cache
def encoder() -> TextEncoder:
    text = (named_folder("minilm") / "tokenizer.json").read_text(encoding="utf-8")
    return TextEncoder(text, RECIPE)


def unpacked(tokens: PackedTokens) -> list[list[int]]:
    ends = tokens.offsets.tolist()
    return [tokens.ids[a:b].tolist() for a, b in itertools.pairwise(ends)]


@given(any_characters)
def test_clean_text_is_utf8_and_stays_as_it_is(text):
    """No control characters, no double spaces, nothing at the ends; cleaning again is nothing."""
    cleaned = clean(text)
    cleaned.encode()
    assert cleaned == clean(cleaned) == " ".join(cleaned.split())
    assert all(character >= " " for character in cleaned)


@given(any_characters, any_characters)
def test_cleaning_loses_no_visible_character(left, right):
    """What remains without spaces is what was there without blanks, in order."""
    assert clean(f"{left} {right}") == clean(f"{clean(left)} {clean(right)}")


@given(st.dictionaries(st.sampled_from("abc"), field_values))
def test_composing_is_clean_and_reads_its_fields_alone(product):
    text = RECIPE.compose(product)
    assert text == clean(text)
    assert text == RECIPE.compose({name: product.get(name) for name in ("b", "a")})


@given(phrases, st.lists(phrases, max_size=5))
def test_rows_hold_the_query_whole_and_each_product_cut(query, products):
    """Exactly the parts' own ids, each up to its limit, framed; nothing depends on neighbours."""
    tokens = encoder().pairs(query, products)
    head = [101, *encoder().query_ids(query), 102]
    assert len(head) <= 7 + 2
    rows = unpacked(tokens)
    assert rows == [[*head, *encoder().product_ids([one])[0], 102] for one in products]
    assert all(len(one) <= len(head) + 11 + 1 for one in rows)
    alone = [unpacked(encoder().pairs(query, [one]))[0] for one in products]
    assert rows == alone


@given(any_characters, any_characters)
def test_any_text_becomes_a_framed_row(query, product):
    """Whatever the characters, ids are in the vocabulary and there are just three special ones."""
    (row,) = unpacked(encoder().pairs(query, [product]))
    assert row[0] == 101
    assert row[-1] == 102
    assert row.count(101) == 1
    assert row.count(102) == 2
    assert 0 <= min(row) <= max(row) < 30522


@given(token_rows, st.integers(0, 9) | st.none())
def test_packing_keeps_every_token_in_its_place(rows, first_segment):
    tokens = PackedTokens.pack(rows, first_segment)
    assert unpacked(tokens) == rows
    assert tokens.lengths.tolist() == [len(row) for row in rows]
    expected = [
        int(first_segment is not None and place >= first_segment)
        for row in rows
        for place in range(len(row))
    ]
    assert tokens.type_ids.tolist() == expected


@given(token_rows, st.data())
def test_rows_are_those_named_in_the_order_named(rows, data):
    """Repeats, gaps and none at all included, as picking from a list would."""
    places = list(range(len(rows)))
    indices = data.draw(st.lists(st.sampled_from(places), max_size=8) if places else st.just([]))
    tokens = PackedTokens.pack(rows, 2)
    picked = tokens.rows(np.array(indices, np.intp))
    assert unpacked(picked) == [rows[index] for index in indices]
    expected = [min(place // 2, 1) for index in indices for place in range(len(rows[index]))]
    assert picked.type_ids.tolist() == expected
