"""What stock clients get back, written by hand: JSON libraries do not fix decimals."""

from __future__ import annotations

import json
import uuid
from collections.abc import Sequence

import orjson

from rerank_core.errors import (
    DeadlineError,
    NotReadyError,
    OverloadError,
    QuotaError,
    RerankError,
    ScoringError,
)
from sidecar.http.scores import raw, shares
from sidecar.http.shapes import CohereRequest, JinaRequest, TeiRequest
from sidecar.ranking import Placed, Ranking, Score, logistic


def cohere(request: CohereRequest, ranking: Ranking) -> str:
    """Cohere's answer."""
    results = _results(ranking, request.texts if request.return_documents else None)
    meta = '{"api_version":{"version":"2"},"billed_units":{"search_units":1}}'
    return f'{{"id":"{uuid.uuid4()}","results":[{results}],"meta":{meta}}}'


def jina(request: JinaRequest, ranking: Ranking) -> str:
    """Jina's answer."""
    results = _results(ranking, request.texts if request.return_documents else None)
    name = json.dumps(ranking.model.name if ranking.model else request.model)
    usage = f'{{"total_tokens":{ranking.tokens}}}'
    return f'{{"model":{name},"object":"list","usage":{usage},"results":[{results}]}}'


def tei(request: TeiRequest, ranking: Ranking) -> str:
    """TEI's answer."""
    if request.raw_scores:
        scores = raw([placed.score.logit if placed.score else None for placed in ranking.placed])
    else:
        scores = _shares(ranking.placed)
    ranks = []
    for placed, score in zip(ranking.placed, scores, strict=True):
        index = placed.candidate.index
        text = f',"text":{_text(request.texts[index])}' if request.return_text else ""
        ranks.append(f'{{"index":{index},"score":{score}{text}}}')
    return f"[{','.join(ranks)}]"


def cohere_error(error: Exception, message: str) -> str:  # noqa: ARG001  one shape for all errors
    """Cohere's way to say what went wrong."""
    return json.dumps({"message": message})


def jina_error(error: Exception, message: str) -> str:  # noqa: ARG001  as above
    """Jina's."""
    return json.dumps({"detail": message})


_TEI_KINDS: dict[type[RerankError], str] = {
    OverloadError: "overloaded",
    QuotaError: "overloaded",
    NotReadyError: "unhealthy",
    ScoringError: "backend",
    DeadlineError: "backend",
}


def tei_error(error: Exception, message: str) -> str:
    """TEI's."""
    kinds = (name for kind, name in _TEI_KINDS.items() if isinstance(error, kind))
    return json.dumps({"error": message, "error_type": next(kinds, "validation")})


def _text(text: str) -> str:
    """Not longer than it came: JSON in ASCII may be three times as long."""
    return orjson.dumps(text).decode()


def _results(ranking: Ranking, texts: Sequence[str] | None) -> str:
    results = []
    for placed, score in zip(ranking.placed, _shares(ranking.placed), strict=True):
        index = placed.candidate.index
        document = f',"document":{{"text":{_text(texts[index])}}}' if texts else ""
        results.append(f'{{"index":{index},"relevance_score":{score}{document}}}')
    return ",".join(results)


def _shares(placed: Sequence[Placed]) -> list[str]:
    return shares([None if item.score is None else _probability(item.score) for item in placed])


def _probability(score: Score) -> float:
    """Calibrated where the model is, else what training put on the logit."""
    return logistic(score.logit) if score.probability is None else score.probability
