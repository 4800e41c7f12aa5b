"""One rerank: score until the deadline, order what there is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from operator import attrgetter
from typing import Protocol

import structlog

from rerank_core.engine import CrossEncoder, Priority
from rerank_core.errors import DeadlineError, ScoringError
from sidecar.config import Settings
from sidecar.degraded import SCORING_DEGRADES, Degraded
from sidecar.frame import note
from sidecar.models import SHORT_HASH, Served
from sidecar.ranking import Candidate, Ranking, place
from sidecar.scorer import Job, Scorer, Scores
from sidecar.security.caller import Caller
from sidecar.stages import Stages

_log = structlog.get_logger()
_first_stage_rank = attrgetter("first_stage_rank")


@dataclass(frozen=True, slots=True)
class RerankTask:
    """A checked request."""

    query: str
    candidates: tuple[Candidate, ...]
    """In the caller's order."""
    top_n: int = 0
    """0: all."""
    model: str = ""
    """Empty: the default cross-encoder."""
    strict: bool = False
    """An error in place of a degraded answer."""
    priority: Priority = Priority.INTERACTIVE


class Rerankers(Protocol):
    """Models of the moment, or of the moment when a search began."""

    def reranker(self, name: str = "") -> Served[CrossEncoder]:
        """The cross-encoder of that name. Raises `NotFoundError` and `NotReadyError`."""


async def rerank(
    task: RerankTask,
    scorer: Scorer,
    models: Rerankers,
    caller: Caller,
    deadline: float,
    stages: Stages,
) -> Ranking:
    """A permutation of the candidates, cut to `top_n`, whatever happens to scoring.

    `deadline` is in seconds of `time.monotonic`; what is scored by then is ranked by its scores.
    Raises `NotFoundError` and `QuotaError`; a strict task raises what would have degraded it.
    Cancelling gives up the scoring.
    """
    candidates = sorted(task.candidates, key=_first_stage_rank)
    scores = Scores({}, 0, 0)
    degraded: tuple[Degraded, ...] = ()
    served: Served[CrossEncoder] | None = None
    try:
        served = models.reranker(task.model)
        contents = tuple(candidate.content for candidate in candidates)
        job = Job(task.query, contents, deadline, task.priority, caller)
        scores = await scorer.score(served, job, stages)
        if scores.shed is not None:
            raise scores.shed
        if len(scores.logits) < len(candidates):
            raise DeadlineError(
                f"{len(scores.logits)} of {len(candidates)} documents were scored in time"
            )
    except tuple(SCORING_DEGRADES) as error:
        if task.strict:
            raise
        if isinstance(error, ScoringError):
            # The answer names the reason; the cause is for who runs the server.
            _log.warning("scoring failed", exc_info=error)
        degraded = (SCORING_DEGRADES[type(error)],)
    with stages.timed("order"):
        logits: Mapping[int, float] = scores.logits
        calibration = served.model.artifact.manifest.probability if served else None
        placed = place(candidates, logits, calibration)[: task.top_n or None]
    return Ranking(
        placed,
        degraded,
        scored=len(logits),
        model=served if logits else None,
        cached=scores.cached,
        tokens=scores.tokens,
    )


def note_request(documents: int, query: str, settings: Settings) -> None:
    """What the log line says of a request; its query only where the server's owner wants that."""
    note(documents=documents)
    if settings.telemetry.log_texts:
        note(query=query)


def note_ranking(ranking: Ranking) -> None:
    """What the log line says of an answer."""
    note(
        scored=ranking.scored,
        cached=ranking.cached,
        tokens=ranking.tokens,
        degraded=[reason.name for reason in ranking.degraded],
        model=ranking.model.model.hash[:SHORT_HASH] if ranking.model else None,
    )
