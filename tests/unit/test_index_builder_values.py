"""Columns as typed fields."""

from __future__ import annotations

from decimal import Decimal

import pytest

from index_builder.schema import Field
from index_builder.values import read_id, read_value
from rerank_core.errors import InputError


@pytest.mark.parametrize(("value", "key"), [("A-1", "A-1"), (17, "17"), ("é" * 256, "é" * 256)])
def test_a_key_is_a_string_or_a_whole_number(value: object, key: str) -> None:
    """Up to 512 bytes, which é takes two of."""
    assert read_id("sku", value) == key


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        (None, "missing or empty"),
        ("", "missing or empty"),
        (" \t", "missing or empty"),
        (1.5, "must be a string or a whole number, not a float"),
        (True, "not true or false"),
        (["a"], "not a list"),
        ("é" * 257, "longer than 512 bytes"),
        ("a\ud800", "surrogate"),
    ],
)
def test_other_keys_are_refused_by_name(value: object, problem: str) -> None:
    """The error names the column and what is wrong with it."""
    with pytest.raises(InputError, match=problem) as caught:
        read_id("sku", value)
    assert caught.value.field == "sku"


@pytest.mark.parametrize(
    ("kind", "value", "read"),
    [
        ("text", " oak table ", "oak table"),
        ("text", 5, "5"),
        ("text", 5.0, "5"),
        ("text", 2**53 + 1, "9007199254740993"),
        ("keyword", -(10**18), "-1000000000000000000"),
        ("keyword", Decimal("2.50"), "2.5"),
        ("keyword", Decimal("9007199254740993.00"), "9007199254740993"),
        ("keyword", Decimal("1E+2"), "100"),
        ("keyword", ["red", None, " ", "blue"], ["red", "blue"]),
        ("number", "12.50", 12.5),
        ("number", 1645.0, 1645),
        ("number", 2**53, 9007199254740992),
        ("number", -(2**53), -9007199254740992),
        ("number", 2**53 + 1, 2.0**53),
        ("number", 2**60, 2.0**60),
        ("number", Decimal("9.99"), 9.99),
        ("number", [1, "2"], [1, 2]),
        ("boolean", True, True),
        ("boolean", "FALSE", False),
    ],
)
def test_values_become_what_the_field_holds(kind: str, value: object, read: object) -> None:
    """Strings that stand for numbers and booleans are read, since CSV has nothing else."""
    found = read_value("column", Field(kind), value)

    assert found == read
    assert type(found) is type(read)


@pytest.mark.parametrize("kind", ["text", "keyword", "number", "boolean"])
@pytest.mark.parametrize("value", [None, "", "  ", [], [None, ""]])
def test_blank_values_are_no_value(kind: str, value: object) -> None:
    """Null, blank and an empty list all mean that the product has none."""
    assert read_value("column", Field(kind), value) is None


@pytest.mark.parametrize(
    ("kind", "value", "problem"),
    [
        ("text", {"en": "oak"}, "column: must be a string, not an object"),
        ("text", True, "column: must be a string, not true or false"),
        ("text", b"oak", "column: must be a string, not bytes"),
        ("text", float("nan"), "column: nan is not a finite number"),
        ("text", "half \udc00", "column: holds half of a surrogate pair"),
        ("keyword", ["red", ["blue"]], r"column\[1\]: must be a string, not a list"),
        ("number", "cheap", "column: 'cheap' is not a finite number"),
        ("number", "1_000", "column: '1_000' is not a finite number"),
        ("keyword", Decimal("NaN"), r"column: Decimal\('NaN'\) is not a finite number"),
        ("number", "1e999", "column: '1e999' is not a finite number"),
        ("number", 10**400, r"column: 10+\.\.\. is not a finite number"),
        ("number", "Infinity", "column: 'Infinity' is not a finite number"),
        ("number", True, "column: must be a number, not true or false"),
        ("boolean", "yes", "column: must be true or false, not 'yes'"),
        ("boolean", 1, "column: must be true or false, not 1"),
    ],
)
def test_values_of_another_type_are_refused(kind: str, value: object, problem: str) -> None:
    """The error names the column, the place in a list, and what was found."""
    with pytest.raises(InputError, match=problem):
        read_value("column", Field(kind), value)


def test_a_list_separator_cuts_a_string_into_values() -> None:
    """For formats that have no lists; a value without the separator is a list of one."""
    field = Field("keyword", list_separator="|")

    assert read_value("category", field, "Tables | Oak||") == ["Tables", "Oak"]
    assert read_value("category", field, "Tables") == ["Tables"]
    assert read_value("category", field, ["a|b"]) == ["a|b"]
