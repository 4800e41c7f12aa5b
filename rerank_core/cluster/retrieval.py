"""The first stage: all legs of a query in one request, stored templates or rendered ones."""

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
    """The search pipeline that its hits go through; such a leg is the only one."""


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
    client: AsyncOpenSearch,
    index: str,
    calls: Mapping[str, LegCall],
    timeout_s: float,
    *,
    alias: str,
) -> Retrieved:
    """Runs the legs against one concrete index: all as stored templates, or all as bodies.

    `alias` is where the index stands, for the command that mends it.

    A leg that fails while another answers is in `failures`; so is one of which some shards failed
    or ran out of time, and what it found is kept. Raises `IndexGoneError`; `ReleaseError` where a
    template or a search pipeline is gone; `ClusterUnavailable`, `ClusterTimeout` or
    `ClusterRefused` where no leg answered.
    """
    with cluster_errors(f"searching {index}"):
        responses = await _ask(client, index, [*calls.values()], timeout_s)
    answers: dict[str, LegAnswer] = {}
    failures: dict[str, ClusterError] = {}
    for leg, response in zip(calls, responses, strict=True):
        doing = f"searching {index}, leg {leg}"
        if "error" in response:
            _raise_if_not_the_query(index, alias, calls[leg], response)
            failures[leg] = refusal(int(response.get("status", 500)), response, doing)
            continue
        answers[leg] = _read_leg(response, doing)
        if missing := _missing(response, doing):
            failures[leg] = missing
            answers[leg] = replace(answers[leg], total_is_exact=False)
    if not answers:
        raise next(iter(failures.values()))
    return Retrieved(answers, failures)


async def _ask(
    client: AsyncOpenSearch, index: str, calls: Sequence[LegCall], timeout_s: float
) -> Sequence[Mapping[str, Any]]:
    """What the cluster answers to each."""
    stored = any(call.body is None for call in calls)
    bodies = [
        {"id": call.template_id, "params": call.parameters} if stored else call.body or {}
        for call in calls
    ]
    if pipeline := calls[0].pipeline:
        # The one leg of a fusion by the cluster. A multi-search takes no search pipeline.
        search_one = client.search_template if stored else client.search
        # Refusals are handed over, as those of a multi-search's parts are.
        params = {"search_pipeline": pipeline, "ignore": (400, 404), "request_timeout": timeout_s}
        return [await search_one(index=index, body=bodies[0], params=params)]
    lines: list[Mapping[str, Any]] = []
    for body in bodies:
        lines += [{"index": index}, body]
    text = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)
    search = client.msearch_template if stored else client.msearch
    answer = await search(body=text, request_timeout=timeout_s)
    return list(answer["responses"])


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


def _raise_if_not_the_query(
    index: str, alias: str, call: LegCall, response: Mapping[str, Any]
) -> None:
    """Faults of the set-up are raised also where another leg answered: they do not pass."""
    cause = root_cause(response)
    kind = cause.get("type")
    restore = f"python -m index_builder templates push --restore --alias {alias}"
    if kind == "index_not_found_exception":
        raise IndexGoneError(index)
    if kind == "resource_not_found_exception":
        raise ReleaseError(
            f"index {index}: its search template {call.template_id} is not on the cluster; put it "
            f"back with {restore}, or rebuild the index"
        )
    # The cluster has no type of its own for this one.
    if call.pipeline and f"{call.pipeline} is not defined" in str(cause.get("reason")):
        raise ReleaseError(
            f"index {index}: search pipeline {call.pipeline}, which fuses its legs, is not on the "
            f"cluster; put it back with {restore}"
        )
