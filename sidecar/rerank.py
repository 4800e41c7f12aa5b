"""One rerank: score until the deadline, order what there is."""

from __future__ import annotations

from dataclasses import dataclass

import structlog

from rerank_core.engine import CrossEncoder, Engine, Priority, ScoreStream
from rerank_core.errors import DeadlineError, ScoringError
from sidecar.degraded import SCORING_DEGRADES, Degraded
from sidecar.models import ModelShelf, Served
from sidecar.ranking import Candidate, Ranking, place
from sidecar.stages import Stages

_log = structlog.get_logger()


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


async def rerank(
    task: RerankTask, engine: Engine, models: ModelShelf, deadline: float, stages: Stages
) -> Ranking:
    """A permutation of the candidates, cut to `top_n`, whatever happens to scoring.

    `deadline` is in seconds of `time.monotonic`; what is scored by then is ranked by its scores.
    Raises `NotFoundError`; a strict task raises what would have degraded it. Cancelling gives up
    the scoring.
    """
    candidates = sorted(task.candidates, key=lambda candidate: candidate.first_stage_rank)
    logits: dict[int, float] = {}
    degraded: tuple[Degraded, ...] = ()
    served: Served[CrossEncoder] | None = None
    try:
        served = models.reranker(task.model)
        stream = engine.submit(
            served.model,
            task.query,
            [candidate.content for candidate in candidates],
            deadline=deadline,
            priority=task.priority,
        )
        logits = await _gather(stream, stages)
        if len(logits) < len(candidates):
            raise DeadlineError(f"{len(logits)} of {len(candidates)} documents were scored in time")
    except tuple(SCORING_DEGRADES) as error:
        if task.strict:
            raise
        if isinstance(error, ScoringError):
            # The answer names the reason; the cause is for who runs the server.
            _log.warning("scoring failed", exc_info=error)
        degraded = (SCORING_DEGRADES[type(error)],)
    with stages.timed("order"):
        calibration = served.model.artifact.manifest.probability if served else None
        placed = place(candidates, logits, calibration)[: task.top_n or None]
    return Ranking(placed, degraded, len(logits), served if logits else None)


async def _gather(stream: ScoreStream, stages: Stages) -> dict[int, float]:
    """Logits by position, as many as there are in time. Scores beside a failure are not kept."""
    try:
        return {position: logit async for position, logit in stream}
    finally:
        # Without effect on a stream that ended; what a cancelled call left behind is dropped.
        stream.cancel()
        stages.add("queue", stream.times.queue_ms)
        stages.add("tokenize", stream.times.tokenize_ms)
        stages.add("score", stream.times.score_ms)
