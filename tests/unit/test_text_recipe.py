"""How a product becomes text."""

from __future__ import annotations

import dataclasses

import pytest

from rerank_core.errors import ArtifactError, InputError
from rerank_core.text import ProductTextRecipe, clean

RECIPE = ProductTextRecipe(fields=("title", "brand", "sizes"), separator=" | ", list_separator=", ")


@pytest.mark.parametrize(
    ("product", "text"),
    [
        ({"brand": "Acme", "title": "Garden hose"}, "Garden hose | Acme"),
        ({"title": "Hose", "sizes": ["15 m", "30 m"]}, "Hose | 15 m, 30 m"),
        ({"title": "Hose", "sizes": ("15 m", ["30 m", "45 m"])}, "Hose | 15 m, 30 m, 45 m"),
        ({"title": "Hose", "sizes": [15, 7.5, None, " ", True]}, "Hose | 15, 7.5, true"),
        ({"title": None, "brand": " \t\n", "sizes": []}, ""),
        ({}, ""),
        ({"title": "Hose", "unread": "price"}, "Hose"),
        ({"title": False}, "false"),
        ({"title": 0}, "0"),
    ],
)
def test_fields_in_the_recipes_order_without_what_is_blank(product, text):
    assert RECIPE.compose(product) == text


@pytest.mark.parametrize(("one", "other"), [(5, 5.0), (-3, -3.0), (10**22, 1e22)])
def test_equal_numbers_are_one_text(one, other):
    """A price read from JSON, CSV or Parquet makes the same product."""
    assert RECIPE.compose({"title": one}) == RECIPE.compose({"title": other}) == str(one)


@pytest.mark.parametrize(
    ("value", "named"),
    [
        ({"en": "Hose"}, "a dict"),
        (b"Hose", "a bytes"),
        (["Hose", {"en": "Hose"}], "a dict"),
        (float("nan"), "NaN or infinity"),
        ([float("inf")], "NaN or infinity"),
        ({"Hose"}, "a set"),
    ],
)
def test_what_is_no_text_is_refused_by_name(value, named):
    """An object in a field is never composed as Python's notation of it."""
    with pytest.raises(InputError, match=named) as caught:
        RECIPE.compose({"title": "Hose", "brand": value})
    assert caught.value.field == "brand"


@pytest.mark.parametrize(
    ("text", "cleaned"),
    [
        ("  a  b ", "a b"),
        ("a\x00b\x07\x1b c", "a b c"),
        ("a\x85b\x9fc\xa0d\u2028e", "a b c d e"),
        ("a\ud800b\udfff", "a b"),
        ("\U0001f600 caf\u00e9", "\U0001f600 caf\u00e9"),
        ("\x00\ud83d \n", ""),
    ],
)
def test_white_space_control_characters_and_lone_surrogates_become_one_space(text, cleaned):
    assert clean(text) == cleaned


@pytest.mark.parametrize(
    "wrong",
    [
        {"fields": ()},
        {"fields": ("title", "title")},
        {"fields": ("title",), "query_tokens": 0},
        {"fields": ("title",), "product_tokens": -1},
    ],
)
def test_a_recipe_that_reads_nothing_is_refused(wrong):
    with pytest.raises(ArtifactError, match="recipe"):
        ProductTextRecipe(**wrong)


def test_the_hash_changes_with_every_part_of_the_recipe():
    base = ProductTextRecipe(fields=("a", "b"))
    changed = [
        dataclasses.replace(base, **change)
        for change in (
            {"fields": ("b", "a")},
            {"separator": "\n"},
            {"list_separator": "/"},
            {"query_tokens": 31},
            {"product_tokens": 127},
        )
    ]
    assert len({recipe.hash for recipe in (base, *changed)}) == 6
    assert ProductTextRecipe(fields=("a", "b")).hash == base.hash
