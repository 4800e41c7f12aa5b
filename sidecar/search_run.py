"""One search under way."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any

from rerank_core.cluster.profile import Profile
from rerank_core.errors import DeadlineError, RerankError
from sidecar.degraded import Degraded
from sidecar.models import Models
from sidecar.search_task import SearchTask
from sidecar.security.caller import Caller
from sidecar.stages import Stages

RERANK_TEXT = "rerank_text"
"""The stored field that holds a product's text, composed by the cross-encoder's recipe."""


@dataclass(frozen=True)
class SearchRun:
    """What is asked, by whom, until when, and what went wrong so far."""

    task: SearchTask
    caller: Caller
    models: Models
    """Those of its beginning, however long it takes."""
    profile: Profile
    filters: list[dict[str, Any]]
    facets: dict[str, Any]
    deadline: float
    stages: Stages
    degraded: list[Degraded] = field(default_factory=list)

    def degrade(self, reason: Degraded, error: RerankError) -> None:
        """Notes why the answer is less than asked for; in a strict search that is its error."""
        if self.task.strict:
            raise error
        self.degraded.append(reason)

    @property
    def source_fields(self) -> list[str]:
        """Stored fields that are asked for."""
        collapse = [self.profile.collapse] if self.profile.collapse else []
        return list(dict.fromkeys([*self.profile.fields, *collapse, RERANK_TEXT]))

    def remaining_s(self) -> float:
        """Time left. Raises `DeadlineError` when there is none."""
        remaining_s = self.deadline - time.monotonic()
        if remaining_s <= 0:
            raise DeadlineError("the budget ended before the cluster was asked")
        return remaining_s
