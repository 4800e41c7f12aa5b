"""What every table of a recipe keeps to."""

from __future__ import annotations

from pydantic import ConfigDict

STRICT = ConfigDict(extra="forbid", strict=True)


def demand(holds: bool, message: str) -> None:  # noqa: FBT001 - a condition
    """Raises `ValueError`, to which pydantic adds the path of the table."""
    if not holds:
        raise ValueError(message)
