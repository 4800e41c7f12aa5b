"""Search's messages: checked on the way in, written on the way out."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

from rerank_core.errors import InputError
from rerank_proto.rerank.v1 import rerank_pb2 as pb
from sidecar.arrangement import Arranged
from sidecar.config import Limits
from sidecar.found import Found, FoundHit
from sidecar.search_task import FilterTask, SearchTask
from sidecar.stages import Stages
from sidecar.wire import (
    check_bytes,
    check_name,
    read_priority,
    read_query,
    write_degraded,
    write_model,
    write_score,
    write_stages,
)

_MAX_FILTERS = 32
_MAX_FACETS = 32
_MAX_VALUES = 256
_MAX_VALUE_BYTES = 512
_MAX_PARAMETERS = 32
# A thousand hits of the longest keys.
_MAX_TOKEN_BYTES = 1 << 20


def read_search(message: pb.SearchRequest, limits: Limits) -> SearchTask:
    """The task. Raises `InputError` with the path of the first field that is wrong."""
    if not message.profile:
        raise InputError("profile", "is empty; name one of the server's profiles")
    check_name("profile", message.profile)
    query = read_query(message.query, limits)
    if message.page_size < 0:
        raise InputError("page_size", f"is {message.page_size}; 0 means the profile's")
    check_bytes("page_token", message.page_token, _MAX_TOKEN_BYTES)
    if len(message.filters) > _MAX_FILTERS:
        raise InputError("filters", f"has {len(message.filters)} entries, at most {_MAX_FILTERS}")
    if len(message.parameters) > _MAX_PARAMETERS:
        raise InputError(
            "parameters", f"has {len(message.parameters)} entries, at most {_MAX_PARAMETERS}"
        )
    for name, value in message.parameters.items():
        check_name("parameters", name)
        check_bytes(f"parameters[{name!r}]", value, limits.max_query_bytes)
    return SearchTask(
        profile=message.profile,
        query=query,
        page_size=message.page_size,
        page_token=message.page_token,
        filters=tuple(_read_filter(item, n) for n, item in enumerate(message.filters)),
        facets=_read_facets(message.facets),
        parameters=dict(message.parameters),
        strict=message.strict,
        priority=read_priority(message.priority),
    )


def _read_facets(names: Sequence[str]) -> tuple[str, ...]:
    if len(names) > _MAX_FACETS:
        raise InputError("facets", f"has {len(names)} entries, at most {_MAX_FACETS}")
    for position, name in enumerate(names):
        check_name(f"facets[{position}]", name)
        if name in names[:position]:
            raise InputError(f"facets[{position}]", f"{name!r} stands there twice")
    return tuple(names)


def _read_filter(message: pb.Filter, position: int) -> FilterTask:
    path = f"filters[{position}]"
    if not message.field:
        raise InputError(f"{path}.field", "is empty; name one of the profile's filters")
    check_name(f"{path}.field", message.field)
    if message.WhichOneof("condition") == "any_of":
        values = tuple(message.any_of.values)
        if not 1 <= len(values) <= _MAX_VALUES:
            raise InputError(f"{path}.any_of", f"has {len(values)} values; 1 to {_MAX_VALUES}")
        for n, value in enumerate(values):
            check_bytes(f"{path}.any_of.values[{n}]", value, _MAX_VALUE_BYTES)
        return FilterTask(message.field, values=values)
    if message.WhichOneof("condition") == "range":
        given = message.range
        at_least = given.at_least if given.HasField("at_least") else None
        below = given.below if given.HasField("below") else None
        ends = [end for end in (at_least, below) if end is not None]
        if not ends or not all(math.isfinite(end) for end in ends):
            raise InputError(f"{path}.range", "needs at_least or below, as finite numbers")
        return FilterTask(message.field, at_least=at_least, below=below)
    raise InputError(path, "needs a condition: any_of or range")


def write_found(
    found: Found, task: SearchTask, stages: Stages, *, explain: bool
) -> pb.SearchResponse:
    """The answer."""
    return pb.SearchResponse(
        hits=[_write_hit(hit, explain=explain) for hit in found.hits],
        total=found.total,
        total_is_exact=found.total_is_exact,
        next_page_token=found.next_page_token,
        facets=[_write_facet(name, found.facets.get(name, ())) for name in task.facets],
        degraded=write_degraded(found.degraded),
        scored=found.scored,
        index=found.index,
        rerank_model=write_model(found.reranker) if found.reranker else None,
        embed_model=write_model(found.encoder) if found.encoder else None,
        stages=write_stages(stages),
        fallback=found.fallback,
        plan=_write_plan(found) if explain else None,
    )


def _write_plan(found: Found) -> pb.SearchPlan:
    plan, weights = found.plan, found.profile.legs
    return pb.SearchPlan(
        profile_json=found.profile.as_json,
        legs=[
            pb.LegPlan(
                leg=leg,
                template_id=call.template_id,
                weight=dict[str, float](weights.items()).get(leg, 1.0),
            )
            for leg, call in (plan.calls if plan else {}).items()
        ],
        fusion=plan.fusion if plan else "of the first page",
        templates=plan.mode if plan else "",
    )


def _write_hit(found: FoundHit, *, explain: bool) -> pb.SearchHit:
    hit = found.arranged
    return pb.SearchHit(
        id=hit.id,
        rank=found.rank,
        first_stage_score=hit.first_stage_score,
        first_stage_rank=hit.first_stage_rank,
        rerank=write_score(hit.score, found.rank) if hit.score else None,
        fields=_write_fields(found.fields),
        explanation=_explain(hit) if explain else None,
    )


def _explain(hit: Arranged) -> pb.Explanation:
    return pb.Explanation(
        legs=[pb.LegRank(leg=at.leg, rank=at.rank, score=at.score) for at in hit.legs],
        placed_by=hit.placed_by,
        places=[pb.StagePlace(stage=at.stage, rank=at.rank, score=at.score) for at in hit.places],
        rules=hit.rules,
    )


def _write_fields(fields: Mapping[str, Any]) -> dict[str, pb.FieldValue]:
    return {
        name: pb.FieldValue(values=[_as_text(item) for item in _listed(value)])
        for name, value in fields.items()
        if value is not None
    }


def _as_text(value: Any) -> str:
    # As JSON has it, since the cluster's answer was JSON.
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _listed(value: Any) -> Sequence[Any]:
    return value if isinstance(value, list) else [value]


def _write_facet(name: str, counts: Sequence[tuple[str, int]]) -> pb.Facet:
    values = [pb.FacetValue(value=value, count=count) for value, count in counts]
    return pb.Facet(field=name, values=values)
