"""What a multi-search's answer means for each leg."""

from __future__ import annotations

from typing import Any

import pytest
from aiohttp import web

from rerank_core.cluster.retrieval import IndexGoneError, LegCall, Retrieved, retrieve
from rerank_core.errors import (
    ClusterRefused,
    ClusterTimeout,
    ClusterUnavailable,
    ReleaseError,
    RerankError,
)
from tests.answering import answering

CALLS = {"lexical": LegCall("lexical@1", {}), "vector": LegCall("vector@1", {})}
WHOLE = {
    "timed_out": False,
    "_shards": {"total": 2, "successful": 2, "skipped": 0, "failed": 0},
    "hits": {
        "total": {"value": 1, "relation": "eq"},
        "hits": [{"_id": "a", "_score": 2.0, "_source": {"title": "oak"}}],
    },
}
SHARD_FAILED = {
    "_shards": {
        "total": 2,
        "successful": 1,
        "failed": 1,
        "failures": [
            {"shard": 0, "reason": {"type": "script_exception", "reason": "runtime error"}}
        ],
    }
}


def refused(status: int, kind: str = "parsing_exception") -> dict[str, Any]:
    return {"error": {"root_cause": [{"type": kind, "reason": "why"}]}, "status": status}


def reasons(retrieved: Retrieved) -> dict[str, str]:
    return {
        leg: str(error).removeprefix(f"searching products-1, leg {leg}: ")
        for leg, error in retrieved.failures.items()
    }


async def ask(lexical: dict[str, Any], vector: dict[str, Any]) -> Retrieved:
    async def answer(_: web.Request) -> web.Response:
        return web.json_response({"took": 1, "responses": [lexical, vector]})

    async with answering(answer) as client:
        return await retrieve(
            client,  # type: ignore[arg-type]
            "products-1",
            CALLS,
            timeout_s=60,
            alias="products",
        )


@pytest.mark.parametrize(
    ("partial", "why"),
    [
        (SHARD_FAILED, "1 of 2 shards failed: runtime error"),
        ({"_shards": {"total": 2, "failed": 1}}, "1 of 2 shards failed: no reason given"),
        ({"timed_out": True}, "the shards ran out of time"),
    ],
)
async def test_a_leg_that_answers_in_part_is_kept_and_told(
    partial: dict[str, Any], why: str
) -> None:
    """Its hits are ranked, its total is no more exact, and it is among the failures."""
    retrieved = await ask({**WHOLE, **partial}, WHOLE)

    lexical = retrieved.answers["lexical"]
    assert [hit.id for hit in lexical.hits] == ["a"]
    assert (lexical.total, lexical.total_is_exact) == (1, False)
    assert retrieved.answers["vector"].total_is_exact
    assert reasons(retrieved) == {"lexical": why}


async def test_whole_answers_have_no_failures() -> None:
    """A shard that the cluster skipped had nothing to say."""
    skipped = {"total": 2, "successful": 2, "skipped": 1, "failed": 0}
    assert (await ask({**WHOLE, "_shards": skipped}, WHOLE)).failures == {}


async def test_a_leg_that_fails_beside_another_is_told() -> None:
    """By the cluster's own reason, also where that is one string."""
    retrieved = await ask(WHOLE, refused(503))
    assert reasons(retrieved) == {"vector": "the cluster answers 503: why"}
    assert isinstance(retrieved.failures["vector"], ClusterUnavailable)
    assert set(retrieved.answers) == {"lexical"}

    retrieved = await ask(WHOLE, {"error": "plain\nwords", "status": 500})
    assert reasons(retrieved) == {"vector": "the cluster answers 500: plain words"}
    assert isinstance(retrieved.failures["vector"], ClusterRefused)
    retrieved = await ask(WHOLE, {"error": {"root_cause": ["odd"], "type": "t"}, "status": 500})
    assert reasons(retrieved) == {"vector": "the cluster answers 500: t"}


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, ClusterRefused),
        (408, ClusterTimeout),
        (429, ClusterUnavailable),
        (500, ClusterRefused),
        (503, ClusterUnavailable),
        (504, ClusterTimeout),
    ],
)
async def test_where_no_leg_answers_the_first_ones_status_is_the_error(
    status: int, kind: type[RerankError]
) -> None:
    """The same error as if it were the answer's own status."""
    with pytest.raises(kind, match=f"leg lexical: the cluster answers {status}: why") as caught:
        await ask(refused(status), refused(400))
    assert type(caught.value) is kind


async def test_faults_of_the_set_up_are_raised_beside_an_answer() -> None:
    """An index or a template that is gone does not come back by itself."""
    with pytest.raises(IndexGoneError):
        await ask(WHOLE, refused(404, "index_not_found_exception"))
    mend = "template vector@1 is not on the cluster.* push --restore --alias products,"
    with pytest.raises(ReleaseError, match=mend):
        await ask(WHOLE, refused(404, "resource_not_found_exception"))
