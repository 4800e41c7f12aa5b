"""Frozen dataclasses from JSON and back, checked whole, each fault named by its path."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from rerank_core.errors import SetupError

Record = TypeVar("Record")


def read_json(
    kind: type[Record], source: str | bytes | Path, where: str, error: type[SetupError]
) -> Record:
    """The record in a JSON text or file.

    Raises `error` whose message begins with `where` and names the path of each fault.
    """
    try:
        data = source.read_bytes() if isinstance(source, Path) else source
        return TypeAdapter(kind).validate_json(data)
    except OSError as fault:
        raise error(f"{where}: {fault.strerror or fault}") from fault
    except ValidationError as fault:
        raise error(f"{where}: {describe(fault)}") from fault
    except SetupError as fault:  # a record's own check
        raise error(f"{where}: {fault}") from fault


def read_value(kind: type[Record], value: object, where: str, error: type[SetupError]) -> Record:
    """The record in parsed JSON; as `read_json` otherwise."""
    # Back through text: a strict record takes a JSON list for a tuple, and a Python one not.
    try:
        text = json.dumps(value)
    except (TypeError, ValueError) as fault:
        raise error(f"{where}: {fault}") from fault
    return read_json(kind, text, where, error)


def to_json(record: object) -> Any:
    """Plain lists, dictionaries, strings and numbers that `read_value` takes back.

    Raises `ValueError` where a field holds what its type does not allow.
    """
    return TypeAdapter(type(record)).dump_python(record, mode="json", warnings="error")


def describe(fault: ValidationError) -> str:
    """Every fault on one line: where it is and what is wrong."""
    return "; ".join(
        f"{'.'.join(str(part) for part in item['loc']) or 'content'}: {item['msg']}"
        for item in fault.errors(include_url=False)
    )
