"""What is sent, and what the cluster says of each item."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from rerank_core.errors import ClusterRefused

# A refusal that asks for patience; the others would be the same next time.
_TRANSIENT = frozenset({408, 429, 500, 502, 503, 504})
_OF_THE_ITEM = frozenset({400, 409})
_MISSING = 404


@dataclass(slots=True)
class Batch:
    """Items that were brought together, and what to do once each is settled."""

    open: int
    on_settled: Callable[[], None]

    def settle(self, items: int = 1) -> None:
        """So many further items are written or refused for good."""
        self.open -= items
        if self.open == 0:
            self.on_settled()


@dataclass(slots=True, eq=False)
class Item:
    """One line pair of a bulk request, and what became of it so far."""

    payload: bytes
    """Action and source, each with its line end."""
    origin: Any
    """What it was made of, for whoever hears of a refusal."""
    batch: Batch
    tries: int = 0
    first_tried_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Refusal:
    """The cluster will not have an item, now or later, and why."""

    status: int
    reason: str
    error: Mapping[str, Any] = field(default_factory=dict)


def read_item(answer: Mapping[str, Any], doing: str) -> Refusal | bool:
    """What an item's answer means: True, written; False, ask again; or refused for good.

    Raises `ClusterRefused` for a refusal that is not the item's fault, such as a blocked index.
    """
    [(action, said)] = answer.items()
    status = int(said["status"])
    # What is deleted already is as good as deleted; a missing index has an error.
    if status < 300 or (action == "delete" and status == _MISSING and "error" not in said):
        return True
    if status in _TRANSIENT:
        return False
    error = said.get("error") or {}
    refusal = Refusal(status, _reason(error), error)
    missing = status == _MISSING and error.get("type") == "document_missing_exception"
    if status in _OF_THE_ITEM or missing:
        return refusal
    raise ClusterRefused(f"{doing}: the cluster answers {status}: {refusal.reason}", status)


def _reason(error: Mapping[str, Any]) -> str:
    # The cause is what to mend: "failed to parse" alone does not say why.
    said = [error, error.get("caused_by") or {}]
    return ": ".join(str(part["reason"]) for part in said if "reason" in part)
