"""Protobuf answers as dataclasses."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Literal

from rerank_client.answers import (
    Embedding,
    Explanation,
    Hit,
    LegPlan,
    LegRank,
    ModelDescription,
    ModelVersion,
    RankedDocument,
    Ranking,
    Score,
    SearchPlan,
    SearchResult,
    StagePlace,
)
from rerank_proto.rerank.v1 import rerank_pb2 as pb

_REASON_PREFIX = "DEGRADED_REASON_"


def read_ranking(message: pb.RerankResponse) -> Ranking:
    """The answer of Rerank."""
    return Ranking(
        documents=tuple(
            RankedDocument(
                id=item.id,
                index=item.index,
                first_stage_score=(
                    item.first_stage_score if item.HasField("first_stage_score") else None
                ),
                first_stage_rank=item.first_stage_rank,
                rerank=_score(item.rerank) if item.HasField("rerank") else None,
            )
            for item in message.documents
        ),
        degraded=_degraded(message.degraded),
        scored=message.scored,
        model=_version(message.model) if message.HasField("model") else None,
        stages_ms=_stages(message.stages),
    )


def read_embedding(message: pb.EmbedResponse) -> Embedding:
    """The answer of Embed."""
    return Embedding(
        vectors=tuple(tuple(vector.values) for vector in message.vectors),
        model=_version(message.model),
        stages_ms=_stages(message.stages),
    )


def read_search(message: pb.SearchResponse) -> SearchResult:
    """The answer of Search."""
    return SearchResult(
        hits=tuple(_hit(item) for item in message.hits),
        total=message.total,
        total_is_exact=message.total_is_exact,
        next_page_token=message.next_page_token,
        facets={
            facet.field: {counted.value: counted.count for counted in facet.values}
            for facet in message.facets
        },
        degraded=_degraded(message.degraded),
        scored=message.scored,
        index=message.index,
        rerank_model=_version(message.rerank_model) if message.HasField("rerank_model") else None,
        embed_model=_version(message.embed_model) if message.HasField("embed_model") else None,
        stages_ms=_stages(message.stages),
        fallback=message.fallback,
        plan=_plan(message.plan) if message.HasField("plan") else None,
    )


def read_model(message: pb.ModelInfoResponse) -> ModelDescription:
    """The answer of ModelInfo."""
    bi_encoder = message.kind == pb.MODEL_KIND_BI_ENCODER
    kind: Literal["cross-encoder", "bi-encoder"] = "bi-encoder" if bi_encoder else "cross-encoder"
    return ModelDescription(
        version=_version(message.version),
        kind=kind,
        is_default=message.is_default,
        query_tokens=message.query_tokens,
        product_tokens=message.product_tokens,
        recipe_fields=tuple(message.recipe_fields),
        recipe_hash=message.recipe_hash,
        deterministic=message.deterministic,
        calibrated=message.calibrated,
        dimensions=message.dimensions,
        licence=message.licence,
        loaded=tuple(message.loaded),
        path_reason=message.path_reason,
        path_is_fallback=message.path_is_fallback,
    )


def _hit(message: pb.SearchHit) -> Hit:
    return Hit(
        id=message.id,
        rank=message.rank,
        first_stage_score=message.first_stage_score,
        first_stage_rank=message.first_stage_rank,
        rerank=_score(message.rerank) if message.HasField("rerank") else None,
        fields={name: tuple(value.values) for name, value in message.fields.items()},
        explanation=_explanation(message.explanation) if message.HasField("explanation") else None,
    )


def _explanation(message: pb.Explanation) -> Explanation:
    legs = (LegRank(leg.leg, leg.rank, leg.score) for leg in message.legs)
    places = (
        StagePlace(at.stage, at.rank, at.score if at.HasField("score") else None)
        for at in message.places
    )
    return Explanation(tuple(legs), message.placed_by, tuple(places), tuple(message.rules))


def _plan(message: pb.SearchPlan) -> SearchPlan:
    legs = (LegPlan(leg.leg, leg.template_id, leg.weight) for leg in message.legs)
    return SearchPlan(message.profile_json, tuple(legs), message.fusion, message.templates)


def _score(message: pb.RerankScore) -> Score:
    probability = message.probability if message.HasField("probability") else None
    return Score(message.rank, message.logit, probability)


def _version(message: pb.ModelVersion) -> ModelVersion:
    return ModelVersion(message.id, message.hash, message.numeric_path)


def _degraded(numbers: Iterable[int]) -> tuple[str, ...]:
    """Reasons by name; one that this client does not know yet by its number."""
    names: Mapping[int, str] = {
        value.number: value.name for value in pb.DegradedReason.DESCRIPTOR.values
    }
    return tuple(
        names[number].removeprefix(_REASON_PREFIX) if number in names else str(number)
        for number in numbers
    )


def _stages(stages: Iterable[pb.StageTime]) -> dict[str, float]:
    return {stage.stage: stage.duration_ms for stage in stages}
