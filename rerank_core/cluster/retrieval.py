"""The first stage: all legs of a query in one multi-search, stored templates or rendered ones."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from opensearchpy import AsyncOpenSearch

from rerank_core.cluster.failures import cluster_errors, reason_of, refusal, root_cause
from rerank_core.errors import ClusterError, ClusterTimeout, ClusterUnavailable, ReleaseError


@dataclass(frozen=True, slots=True)
class LegCall:
    """One leg of a query: a template and its parameters."""

    template_id: str
    parameters: Mapping[str, Any]
    body: Mapping[str, Any] | None = None
    """What it renders to, where the cluster does not render it itself."""
    pipeline: str = ""
    """The search pipeline that its hits go through."""


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

    answers: Mapping[str, LegAnswer]
    failures: Mapping[str, ClusterError] = field(default_factory=dict)
    """A leg that answered in part is here and in `answers`, too."""


class IndexGoneError(Exception):
    """The concrete index was deleted after the alias was resolved: resolve it again."""


async def retrieve(
    client: AsyncOpenSearch, index: str, calls: Mapping[str, LegCall], timeout_s: float
) -> Retrieved:
    """Runs the legs against one concrete index: all as stored templates, or all as bodies.

    A leg that fails while another answers is in `failures`; so is one of which some shards failed
    or ran out of time, and what it found is kept. Raises `IndexGoneError`; `ReleaseError` where a
    template is gone; `ClusterUnavailable`, `ClusterTimeout` or `ClusterRefused` where no leg
    answered.
    """
    lines: list[Mapping[str, Any]] = []
    stored = any(call.body is None for call in calls.values())
    for call in calls.values():
        pipeline = {"search_pipeline": call.pipeline} if call.pipeline else {}
        searched = {"id": call.template_id, "params": call.parameters} if stored else call.body
        lines += [{"index": index, **pipeline}, searched or {}]
    body = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)
    with cluster_errors(f"searching {index}"):
        search = client.msearch_template if stored else client.msearch
        answer = await search(body=body, request_timeout=timeout_s)
    answers: dict[str, LegAnswer] = {}
    failures: dict[str, ClusterError] = {}
    for leg, response in zip(calls, answer["responses"], strict=True):
        doing = f"searching {index}, leg {leg}"
        if "error" in response:
            _raise_if_not_the_query(index, calls[leg], response)
            failures[leg] = refusal(int(response.get("status", 500)), response, doing)
            continue
        answers[leg] = _read_leg(response, doing)
        if missing := _missing(response, doing):
            failures[leg] = missing
            answers[leg] = replace(answers[leg], total_is_exact=False)
    if not answers:
        raise next(iter(failures.values()))
    return Retrieved(answers, failures)


def _read_leg(response: Mapping[str, Any], doing: str) -> LegAnswer:
    found = response["hits"]
    if any((hit["_score"] or 0) < 0 for hit in found["hits"]):
        # What a hybrid query gives without a pipeline: markers between sub-queries, not scores.
        raise ReleaseError(
            f"{doing}: scores are negative, so no search pipeline fused them; push it with "
            "python -m index_builder templates push"
        )
    hits = tuple(
        Hit(hit["_id"], hit["_score"] or 0.0, hit.get("_source", {})) for hit in found["hits"]
    )
    total = found.get("total", {"value": len(hits), "relation": "gte"})
    facets = {
        name: [
            # The string where there is one: a boolean's key is 0 or 1.
            (str(bucket.get("key_as_string", bucket["key"])), int(bucket["doc_count"]))
            for bucket in counted["buckets"]
        ]
        for name, counted in response.get("aggregations", {}).items()
        if isinstance(counted.get("buckets"), list)
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
            f"index {index}: its search template {call.template_id} is not on the cluster; put it "
            "back with python -m index_builder templates push --restore, or rebuild the index"
        )
