"""More work than there is room for, against the real process."""

from __future__ import annotations

import asyncio
import socket
import time
from collections import Counter

import grpc
import httpx
import pytest

from rerank_proto.rerank.v1 import rerank_pb2 as pb
from sidecar.security.keys import new_key
from tests.serving_load import METHOD, load, requests, saturate
from tests.sidecar_process import PATIENCE_S, running
from tests.tiny_models import make_cross_encoder

FLOOD = 120
BUDGET_S = 3.0


def _bearer(key):
    return [("authorization", f"Bearer {key}")]


@pytest.fixture(scope="module")
def cross(tmp_path_factory):
    return make_cross_encoder(tmp_path_factory.mktemp("overload") / "cross")


async def test_a_flood_harms_its_own_client_alone(cross, tmp_path):
    """One client asks for far more than fits: the rest is answered in first-stage order at once.

    Another client's requests, sent one after the other amid the flood, are reranked whole.
    """
    keys, lines = zip(*(new_key(name) for name in ("greedy", "modest")), strict=True)
    (tmp_path / "keys.toml").write_text("".join(lines))
    flags = ["--models.reranker", cross, "--workers", 1, "--limits.score-cache-bytes", 0]
    flags += ["--keys-file", tmp_path / "keys.toml"]
    bodies = requests(8, 400, 60)
    small = requests(5, 20, 10)
    with running(tmp_path / "run", *flags) as sidecar:
        async with (
            grpc.aio.insecure_channel(sidecar.target) as greedy,
            grpc.aio.insecure_channel(sidecar.target) as modest,
        ):
            send = greedy.unary_unary(METHOD)
            # The first one teaches the server what such work costs here.
            await send(bodies[0], timeout=PATIENCE_S, metadata=_bearer(keys[0]))
            flood = [
                asyncio.ensure_future(
                    send(bodies[n % 8], timeout=BUDGET_S, metadata=_bearer(keys[0]))
                )
                for n in range(FLOOD)
            ]
            await asyncio.wait(flood, return_when=asyncio.FIRST_COMPLETED)
            ask = modest.unary_unary(METHOD)
            for body in small:
                content = await ask(body, timeout=PATIENCE_S, metadata=_bearer(keys[1]))
                answer = pb.RerankResponse.FromString(content)
                assert (answer.scored, list(answer.degraded)) == (20, [])
            ended = await asyncio.gather(*flood, return_exceptions=True)
        answers = [pb.RerankResponse.FromString(item) for item in ended if isinstance(item, bytes)]
        shed = [item for item in answers if list(item.degraded) == [pb.DEGRADED_REASON_OVERLOAD]]
        assert shed
        for answer in shed:
            assert [item.index for item in answer.documents] == list(range(400))
            assert answer.scored == 0
        assert sidecar.logged("bug") == []
        assert sidecar.errors == ""


async def test_a_large_request_keeps_no_small_one_from_its_deadline(cross, tmp_path):
    """A thousand long documents are inside; a quarter of their time suffices for twenty short."""
    flags = ["--models.reranker", cross, "--workers", 1, "--limits.score-cache-bytes", 0]
    flags += ["--default-budget-ms", 600_000]
    large, small = requests(2, 1000, 300), requests(20, 20, 10)
    with running(tmp_path, *flags) as sidecar:
        async with grpc.aio.insecure_channel(sidecar.target) as channel:
            send = channel.unary_unary(METHOD)
            began = time.monotonic()
            await send(large[0], timeout=PATIENCE_S)  # and the server learns what such work costs
            alone_s = time.monotonic() - began
            inside = asyncio.ensure_future(send(large[1], timeout=PATIENCE_S))
            answered = 0
            for body in small:
                await asyncio.sleep(alone_s / 40)
                content = await send(body, timeout=alone_s / 4)
                answer = pb.RerankResponse.FromString(content)
                if inside.done():
                    break
                answered += 1
                assert (answer.scored, list(answer.degraded)) == (20, [])
            assert answered
            assert pb.RerankResponse.FromString(await inside).scored == 1000


async def test_overload_is_an_error_where_that_is_asked(cross, tmp_path):
    """RESOURCE_EXHAUSTED with pushback at once, for a strict call that would wait for too long."""
    flags = ["--models.reranker", cross, "--workers", 1, "--limits.score-cache-bytes", 0]
    (body,) = requests(1, 400, 60)
    strict = pb.RerankRequest.FromString(body)
    strict.strict = True
    with running(tmp_path, *flags) as sidecar:
        async with grpc.aio.insecure_channel(sidecar.target) as channel:
            send = channel.unary_unary(METHOD)
            await send(body, timeout=PATIENCE_S)
            calls = [
                asyncio.ensure_future(send(strict.SerializeToString(), timeout=BUDGET_S))
                for _ in range(FLOOD)
            ]
            ended = await asyncio.gather(*calls, return_exceptions=True)
    errors = [error for error in ended if isinstance(error, grpc.aio.AioRpcError)]
    busy = [error for error in errors if error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED]
    assert busy
    for error in busy:
        assert int(dict(error.trailing_metadata())["grpc-retry-pushback-ms"]) > 0


async def test_more_calls_than_the_process_bears_are_refused(cross, tmp_path):
    """RESOURCE_EXHAUSTED, on either surface, while others are under way; then there is room."""
    flags = ["--models.reranker", cross, "--limits.max-calls", 2]
    (body,) = requests(1, 5, 5)
    with running(tmp_path, *flags, http=True) as sidecar:
        host, port = sidecar.url.removeprefix("http://").split(":")
        held = [socket.create_connection((host, int(port))) for _ in range(2)]
        for connection in held:  # half a request is a call under way
            connection.sendall(b"POST /rerank HTTP/1.1\r\nhost: x\r\ncontent-length: 99\r\n\r\n{")
        async with grpc.aio.insecure_channel(sidecar.target) as channel:
            send = channel.unary_unary(METHOD)
            async with httpx.AsyncClient() as client, asyncio.timeout(PATIENCE_S):
                while "under_way 2.0" not in (await client.get(f"{sidecar.url}/metrics")).text:
                    pass
                refused = await client.post(f"{sidecar.url}/rerank", json={})
                assert (refused.status_code, refused.json()["error_type"]) == (429, "overloaded")
                with pytest.raises(grpc.aio.AioRpcError) as caught:
                    await send(body, timeout=PATIENCE_S)
                assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
                for connection in held:
                    connection.close()
                while "under_way 0.0" not in (await client.get(f"{sidecar.url}/metrics")).text:
                    pass
            assert pb.RerankResponse.FromString(await send(body, timeout=PATIENCE_S)).scored == 5


@pytest.mark.long
@pytest.mark.timeout(600)
async def test_goodput_holds_at_twice_the_capacity_and_does_not_collapse_at_ten_times(tmp_path):
    """Three quarters of the peak, and a third of it; 99 % of all answers come in time.

    95 % are wanted. On two cores of which a request takes some 60 ms, ten times are 300 and more
    lists of 100 documents a second to be read and turned away, and their sender is there, too:
    docs/LOG.md tells what that takes. What is held here is that the rest goes on. Loads take turns,
    since a machine has moods; needs an idle one.
    """
    bodies = requests(64, 100, 12)
    loads, budget_ms = (0.8, 1.0, 1.3, 2.0, 10.0), 400
    full, seconds, sent, missed = Counter(), Counter(), Counter(), Counter()
    with running(tmp_path, "--limits.score-cache-bytes", 0) as sidecar:
        await saturate(sidecar.target, 3, 3, bodies)
        capacity = (await saturate(sidecar.target, 5, 3, bodies)).goodput
        for turn in range(5):
            for times in loads:
                outcome = await load(
                    sidecar.target, capacity * times, 7, budget_ms, bodies, seed=turn
                )
                full[times] += outcome.full
                seconds[times] += outcome.seconds
                sent[times] += outcome.sent
                missed[times] += outcome.late + outcome.errors.total()
    goodput = {times: full[times] / seconds[times] for times in loads}
    assert sent[10.0] / seconds[10.0] > 9 * capacity, "the sender could not offer it"
    peak = max(goodput.values())
    assert goodput[2.0] >= 0.75 * peak, goodput
    assert goodput[10.0] >= peak / 3, goodput
    for times in loads:
        assert missed[times] <= 0.01 * sent[times], (times, missed, sent)
