"""What a caller sends: documents, filters, urgency."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum


class Priority(Enum):
    """How urgent a call is against others that wait."""

    INTERACTIVE = "interactive"
    """Somebody waits for it."""
    BATCH = "batch"
    """Runs in what interactive work leaves."""


@dataclass(frozen=True, slots=True)
class Document:
    """A hit of the first stage: an id, and either its text or its fields."""

    id: str
    """Unique within a request."""
    text: str = ""
    fields: Mapping[str, str | Sequence[str]] = field(default_factory=dict)
    """By name, one value or several; the model's recipe makes the text."""
    version: str = ""
    first_stage_score: float | None = None
    first_stage_rank: int | None = None
    """1 is best. None on every document: the order of the list."""


@dataclass(frozen=True, slots=True)
class Filter:
    """A condition on a filter of the profile: values, or at least one end of a range."""

    field: str
    any_of: Sequence[str] = ()
    at_least: float | None = None
    """Inclusive."""
    below: float | None = None
    """Exclusive."""
