"""Resident memory of the real process on the shipped models: after much work, and over time."""

from __future__ import annotations

import asyncio
import re
import time

import grpc
import httpx
import pytest

from rerank_proto.rerank.v1 import rerank_pb2 as pb
from rerank_proto.rerank.v1 import rerank_pb2_grpc as pb_grpc
from tests.serving_load import load, requests
from tests.sidecar_process import PATIENCE_S, running

LIMIT_MB = 400
SOAK_S = 1800


def _embed(sidecar):
    with grpc.insecure_channel(sidecar.target) as channel:
        texts = [f"cordless drill {n}" for n in range(256)]
        pb_grpc.EmbedServiceStub(channel).Embed(pb.EmbedRequest(texts=texts), timeout=PATIENCE_S)


@pytest.mark.long
@pytest.mark.timeout(3600)
async def test_ten_thousand_requests_stay_within_the_bound(tmp_path):
    """Both models, a full 64 MB cache of scores: under 400 MB."""
    flags = ["--models.encoders", "minilm", "--default-budget-ms", 60_000]
    with running(tmp_path, *flags, http=True) as sidecar:
        at_start = sidecar.resident_mb()
        _embed(sidecar)
        for seed in range(10):
            bodies = requests(1000, 35, 3, seed=seed)
            assert await _each_once(sidecar.target, bodies) == 1000
        async with httpx.AsyncClient() as client:
            page = (await client.get(f"{sidecar.url}/metrics")).text
        (kept,) = re.findall(r"^rerank_score_cache_bytes (\S+)$", page, re.MULTILINE)
        cached = float(kept) / 2**20
        after = sidecar.resident_mb()
        story = f"{at_start:.0f} MB at the start, {after:.0f} after, {cached:.0f} of it the cache"
        assert cached > 60, story
        assert after < LIMIT_MB, story


async def _each_once(target, bodies):
    """Answers of all of them, four at a time."""
    waiting = list(bodies)
    done = 0
    async with grpc.aio.insecure_channel(target) as channel:
        rerank = channel.unary_unary("/rerank.v1.RerankService/Rerank")

        async def caller():
            nonlocal done
            while waiting:
                answer = pb.RerankResponse.FromString(await rerank(waiting.pop(), timeout=60))
                done += not answer.degraded

        await asyncio.gather(*(caller() for _ in range(4)))
    return done


@pytest.mark.long
@pytest.mark.timeout(3600)
async def test_a_soak_of_half_an_hour_keeps_memory_flat(tmp_path):
    """Searches, batches, overload and cancelled calls; the last third adds less than 20 MB."""
    flags = ["--models.encoders", "minilm", "--limits.score-cache-bytes", 8 * 2**20]
    with running(tmp_path, *flags, http=True) as sidecar:
        bodies = requests(500, 50, 8)
        seen = []
        ends = time.monotonic() + SOAK_S
        seed = 0
        while time.monotonic() < ends:
            seed += 1
            await load(sidecar.target, 20, 8, 300, bodies, seed=seed)
            await load(sidecar.target, 200, 1, 50, bodies, seed=seed)
            await asyncio.to_thread(_embed, sidecar)
            seen.append(sidecar.resident_mb())
        third = len(seen) // 3
        assert max(seen[-third:]) - max(seen[third : 2 * third]) < 20, seen
        assert sidecar.logged("bug") == []
        assert sidecar.stop() == 0
