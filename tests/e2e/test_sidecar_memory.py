"""Resident memory of the real process on the shipped models: after much work, and over time."""

from __future__ import annotations

import asyncio
import re
import shutil
import time
from pathlib import Path

import grpc
import httpx
import pytest
from safetensors.numpy import load_file, save_file

from rerank_core.artifact import named_folder, open_artifact, seal_artifact
from rerank_proto.rerank.v1 import rerank_pb2 as pb
from rerank_proto.rerank.v1 import rerank_pb2_grpc as pb_grpc
from tests.serving_load import load, requests
from tests.sidecar_process import PATIENCE_S, running

LIMIT_MB = 400
SWAP_LIMIT_MB = 600
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


@pytest.mark.long
def test_a_swap_of_both_models_has_a_bounded_peak(tmp_path):
    """Old and new cross-encoder and bi-encoder side by side; the old ones stay for a rollback."""
    config = tmp_path / "sidecar.toml"
    student, minilm = named_folder("student"), named_folder("minilm")

    def choose(reranker, encoder):
        models = f'[models]\nreranker = "{reranker}"\nencoders = ["{encoder}"]\n'
        config.write_text(f"default_budget_ms = 60_000\n{models}")

    choose(student, minilm)
    with (
        running(tmp_path / "run", "--config", config) as sidecar,
        grpc.insecure_channel(sidecar.target) as channel,
    ):
        at_start = sidecar.resident_mb("VmHWM")
        assert asyncio.run(_each_once(sidecar.target, requests(2, 100, 10, seed=1))) == 2
        _embed(sidecar)
        before = sidecar.resident_mb()
        choose(_another(student, tmp_path / "student"), _another(minilm, tmp_path / "minilm"))
        # From now on the kernel's peak is that of the swap.
        Path(f"/proc/{sidecar.process.pid}/clear_refs").write_text("5", encoding="ascii")
        admin = pb_grpc.AdminServiceStub(channel)
        answer = admin.Reload(pb.ReloadRequest(), timeout=PATIENCE_S)
        assert (list(answer.changed), len(answer.models)) == (["models"], 2)
        most, after = sidecar.resident_mb("VmHWM"), sidecar.resident_mb()
        story = f"at most {at_start:.0f} MB at the start, {before:.0f} before the swap, at most "
        story += f"{most:.0f} amid it, {after:.0f} after"
        assert most < SWAP_LIMIT_MB, story


def _another(folder, target):
    """The same model but for one number, so that nothing of it is taken from memory."""
    shutil.copytree(folder, target)
    path = target / "model.safetensors"
    weights = load_file(path)
    name = next(name for name in sorted(weights) if name.endswith("bias"))
    weights[name].flat[0] += 1
    save_file(weights, path, {"format": "pt"})
    if (target / "rerank_manifest.json").exists():
        recipe = open_artifact(folder).manifest.recipe
        seal_artifact(target, name="another", kind="cross-encoder", recipe=recipe)
    return target


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
