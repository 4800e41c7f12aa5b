"""A column's value as the field's type wants it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from decimal import Decimal
from typing import TypeAlias

from index_builder.schema import Field
from rerank_core.errors import InputError

Scalar: TypeAlias = str | float | bool
FieldValue: TypeAlias = Scalar | list[Scalar]

_NUMBERS = int | float | Decimal  # Parquet has decimals
_EXACT = 2**53  # beyond, a double skips whole numbers
_BOOLEANS = {"true": True, "false": False}


def read_id(column: str, value: object) -> str:
    """The product's key: a string or a whole number, 1 to 512 bytes. Raises `InputError`."""
    key = str(value) if isinstance(value, int) and not isinstance(value, bool) else value
    if value is None or (isinstance(key, str) and not key.strip()):
        raise InputError(column, "missing or empty; a product needs a key")
    if not isinstance(key, str):
        raise InputError(column, f"must be a string or a whole number, not {_kind(value)}")
    # The cluster's limit; one longer id would fail the whole bulk request.
    if len(_encoded(column, key)) > 512:
        raise InputError(column, "longer than 512 bytes")
    return key


def read_value(column: str, field: Field, value: object) -> FieldValue | None:
    """One value, a list of several, or None for a field that is null or blank.

    Raises `InputError` naming the column.
    """
    if isinstance(value, str) and field.list_separator is not None:
        value = value.split(field.list_separator)
    if not isinstance(value, Sequence) or isinstance(value, str | bytes):
        return _read_scalar(column, field, value)
    items = [_read_scalar(f"{column}[{at}]", field, item) for at, item in enumerate(value)]
    return [item for item in items if item is not None] or None


def _read_scalar(column: str, field: Field, value: object) -> Scalar | None:
    if isinstance(value, str):
        value = value.strip()
    if value is None or value == "":
        return None
    match field.type:
        case "text" | "keyword":
            return _read_text(column, value)
        case "number":
            return _read_number(column, value)
        case "boolean":
            return _read_boolean(column, value)


def _read_text(column: str, value: object) -> str:
    if isinstance(value, str):
        _encoded(column, value)
        return value
    if isinstance(value, bool) or not isinstance(value, _NUMBERS):
        raise InputError(column, f"must be a string, not {_kind(value)}")
    # A float would lose the last digits of an article number.
    if isinstance(value, int):
        return str(value)
    number = _read_number(column, value)
    if isinstance(value, float):
        return str(number)
    digits = f"{value:f}"
    return digits.rstrip("0").rstrip(".") if "." in digits else digits


def _read_number(column: str, value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, str | _NUMBERS):
        raise InputError(column, f"must be a number, not {_kind(value)}")
    if isinstance(value, int) and abs(value) <= _EXACT:
        return value
    try:
        # Python reads 1_000 as a number, and no catalogue means one by it.
        number = math.nan if isinstance(value, str) and "_" in value else float(value)
    except (ValueError, OverflowError):
        number = math.nan
    if not math.isfinite(number):
        raise InputError(column, f"{_short(value)} is not a finite number")
    # 5 and 5.0 are one number in JSON, so they are one here, and one text.
    return int(number) if number.is_integer() and abs(number) < _EXACT else number


def _read_boolean(column: str, value: object) -> bool:
    if isinstance(value, bool):
        return value
    if isinstance(value, str) and value.lower() in _BOOLEANS:
        return _BOOLEANS[value.lower()]
    raise InputError(column, f"must be true or false, not {_short(value)}")


def _encoded(column: str, text: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError as error:
        raise InputError(column, "holds half of a surrogate pair, which is no text") from error


def _kind(value: object) -> str:
    names = {dict: "an object", list: "a list", bool: "true or false", bytes: "bytes"}
    return names.get(type(value), f"a {type(value).__name__}")


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 40 else f"{text[:40]}..."
