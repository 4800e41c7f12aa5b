"""Search's messages: checked on the way in, written on the way out."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

from rerank_core.errors import InputError
from rerank_proto.rerank.v1 import rerank_pb2 as pb
from sidecar.config import Limits
from sidecar.funnel import Found, FoundHit
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
_MAX_TOKEN_BYTES = 1024


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
    if message.parameters:
        name = min(message.parameters)
        check_name("parameters", name)
        raise InputError(f"parameters[{name!r}]", "the profile's templates declare none")
    return SearchTask(
        profile=message.profile,
        query=query,
        page_size=message.page_size,
        page_token=message.page_token,
        filters=tuple(_read_filter(item, n) for n, item in enumerate(message.filters)),
        facets=_read_facets(message.facets),
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
        total=found.lexical.total,
        total_is_exact=found.lexical.total_is_exact,
        next_page_token=found.next_page_token,
        facets=[_write_facet(name, found.lexical.facets.get(name, ())) for name in task.facets],
        degraded=write_degraded(found.degraded),
        scored=found.scored,
        index=found.index,
        rerank_model=write_model(found.reranker) if found.reranker else None,
        embed_model=write_model(found.encoder) if found.encoder else None,
        stages=write_stages(stages),
    )


def _write_hit(hit: FoundHit, *, explain: bool) -> pb.SearchHit:
    placed = hit.placed
    return pb.SearchHit(
        id=placed.candidate.id,
        rank=placed.rank,
        first_stage_score=hit.fused.score,
        first_stage_rank=placed.candidate.first_stage_rank,
        rerank=write_score(placed.score, placed.rank) if placed.score else None,
        fields=_write_fields(hit.fields),
        explanation=_explain(hit) if explain else None,
    )


def _explain(hit: FoundHit) -> pb.Explanation:
    return pb.Explanation(
        legs=[pb.LegRank(leg=at.leg, rank=at.rank, score=at.score) for at in hit.fused.legs],
        placed_by="rerank" if hit.placed.score else "fuse",
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
