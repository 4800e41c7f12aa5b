"""The first stage: all legs of a query in one `_msearch/template`."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from opensearchpy import AsyncOpenSearch

from rerank_core.cluster.failures import cluster_errors, reason_of, refusal, root_cause
from rerank_core.cluster.profile import Leg
from rerank_core.errors import ClusterError, ClusterTimeout, ClusterUnavailable, ReleaseError


@dataclass(frozen=True, slots=True)
class LegCall:
    """One leg of a query: a stored template and its parameters."""

    template_id: str
    parameters: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Hit:
    """A product as a leg found it."""

    id: str
    score: float
    source: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class LegAnswer:
    """What one leg found, best first."""

    hits: tuple[Hit, ...]
    total: int = 0
    total_is_exact: bool = True
    facets: Mapping[str, Sequence[tuple[str, int]]] = field(default_factory=dict)
    """(value, count) by facet name."""


@dataclass(frozen=True, slots=True)
class Retrieved:
    """The legs that answered, and why others did not, or not whole."""

    answers: Mapping[Leg, LegAnswer]
    failures: Mapping[Leg, ClusterError] = field(default_factory=dict)
    """A leg that answered in part is here and in `answers`, too."""


class IndexGoneError(Exception):
    """The concrete index was deleted after the alias was resolved: resolve it again."""


async def retrieve(
    client: AsyncOpenSearch, index: str, calls: Mapping[Leg, LegCall], timeout_s: float
) -> Retrieved:
    """Runs the legs against one concrete index.

    A leg that fails while another answers is in `failures`; so is one of which some shards failed
    or ran out of time, and what it found is kept. Raises `IndexGoneError`; `ReleaseError` where a
    template is gone; `ClusterUnavailable`, `ClusterTimeout` or `ClusterRefused` where no leg
    answered.
    """
    lines: list[Mapping[str, Any]] = []
    for call in calls.values():
        lines += [{"index": index}, {"id": call.template_id, "params": call.parameters}]
    body = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)
    with cluster_errors(f"searching {index}"):
        answer = await client.msearch_template(body=body, request_timeout=timeout_s)
    answers: dict[Leg, LegAnswer] = {}
    failures: dict[Leg, ClusterError] = {}
    for leg, response in zip(calls, answer["responses"], strict=True):
        doing = f"searching {index}, leg {leg}"
        if "error" in response:
            _raise_if_not_the_query(index, calls[leg], response)
            failures[leg] = refusal(int(response.get("status", 500)), response, doing)
            continue
        answers[leg] = _read_leg(response)
        if missing := _missing(response, doing):
            failures[leg] = missing
            answers[leg] = replace(answers[leg], total_is_exact=False)
    if not answers:
        raise next(iter(failures.values()))
    return Retrieved(answers, failures)


def _read_leg(response: Mapping[str, Any]) -> LegAnswer:
    found = response["hits"]
    hits = tuple(Hit(hit["_id"], hit["_score"], hit.get("_source", {})) for hit in found["hits"])
    total = found.get("total", {"value": len(hits), "relation": "gte"})
    facets = {
        name: [(str(bucket["key"]), int(bucket["doc_count"])) for bucket in counted["buckets"]]
        for name, counted in response.get("aggregations", {}).items()
    }
    return LegAnswer(hits, total["value"], total["relation"] == "eq", facets)


def _missing(response: Mapping[str, Any], doing: str) -> ClusterError | None:
    """Why the answer is not of the whole index; None where it is."""
    shards = response.get("_shards", {})
    if failed := shards.get("failed", 0):
        [first, *_] = shards.get("failures") or [{}]
        reason = reason_of({"error": first.get("reason")})
        return ClusterUnavailable(f"{doing}: {failed} of {shards['total']} shards failed: {reason}")
    if response.get("timed_out"):
        return ClusterTimeout(f"{doing}: the shards ran out of time")
    return None


def _raise_if_not_the_query(index: str, call: LegCall, response: Mapping[str, Any]) -> None:
    """Faults of the set-up are raised also where another leg answered: they do not pass."""
    kind = root_cause(response).get("type")
    if kind == "index_not_found_exception":
        raise IndexGoneError(index)
    if kind == "resource_not_found_exception":
        raise ReleaseError(
            f"index {index}: its search template {call.template_id} is not on the cluster; "
            "rebuild the index, or put the template back"
        )
