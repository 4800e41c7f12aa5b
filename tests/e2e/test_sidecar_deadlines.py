"""Deadlines, cancels and what is left of an answer, over a real channel."""

from __future__ import annotations

import asyncio
import math
import time
from contextlib import AsyncExitStack

import grpc
import pytest
from google.rpc import error_details_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_status import rpc_status
from safetensors.numpy import load_file, save_file
from structlog.testing import capture_logs

from rerank_core.engine import Engine
from rerank_core.errors import ArtifactError, ScoringError
from rerank_proto.rerank.v1 import rerank_pb2 as pb
from rerank_proto.rerank.v1 import rerank_pb2_grpc as pb_grpc
from sidecar.admission.turnstile import Turnstile
from sidecar.config import ModelSettings, Settings
from sidecar.frame import Frame
from sidecar.gate import Gate
from sidecar.health import Health
from sidecar.listener import listening
from sidecar.live import Live, Standing
from sidecar.models import ModelShelf, load_models
from sidecar.ranking import Candidate
from sidecar.reload import Reloader
from sidecar.rerank import RerankTask, rerank
from sidecar.scorer import Scorer
from sidecar.security.caller import Caller
from sidecar.server import stand_on
from sidecar.services import open_services
from sidecar.stages import Stages
from sidecar.telemetry.metrics import Metrics
from sidecar.telemetry.traces import NoTraces
from tests.sidecar_process import PATIENCE_S, running, wait_until
from tests.tiny_models import make_bi_encoder, make_cross_encoder

LONG = "cordless drill with a very long text " * 50
DOCUMENTS = [pb.Document(id=str(n), text=f"{n} {LONG}") for n in range(1000)]


@pytest.fixture(scope="module")
def cross(tmp_path_factory):
    return make_cross_encoder(tmp_path_factory.mktemp("deadlines") / "cross")


@pytest.fixture(scope="module")
def hurried(cross, tmp_path_factory):
    """A sidecar whose default budget is 5 ms: never enough for 1000 long documents."""
    flags = ["--models.reranker", cross, "--default-budget-ms", 5, "--safety-margin-ms", 1]
    with running(tmp_path_factory.mktemp("hurried"), *flags, "--workers", 1) as started:
        yield started


def test_at_the_deadline_the_rest_follows_in_first_stage_order(hurried):
    """OK, every document once, `degraded` says why; the first ones have a score, and only they."""
    with grpc.insecure_channel(hurried.target) as channel:
        answer = pb_grpc.RerankServiceStub(channel).Rerank(
            pb.RerankRequest(query="drill", documents=DOCUMENTS)
        )
    assert list(answer.degraded) == [pb.DEGRADED_REASON_DEADLINE]
    assert sorted(item.index for item in answer.documents) == list(range(1000))
    scored = [item for item in answer.documents if item.HasField("rerank")]
    assert len(scored) == answer.scored < 1000
    assert answer.documents[: answer.scored] == scored
    assert sorted(item.index for item in scored) == list(range(answer.scored))
    rest = [item.index for item in answer.documents[answer.scored :]]
    assert rest == list(range(answer.scored, 1000))
    assert answer.HasField("model") == (answer.scored > 0)
    (line, *_) = hurried.wait_logged("call", rpc="Rerank", status="OK")
    assert line["degraded"] == ["DEADLINE"]


def test_a_strict_call_gets_an_error_in_place_of_part_of_an_answer(hurried):
    """DEADLINE_EXCEEDED from the server itself: the call brought no deadline."""
    with grpc.insecure_channel(hurried.target) as channel:
        stub = pb_grpc.RerankServiceStub(channel)
        with pytest.raises(grpc.RpcError) as caught:
            stub.Rerank(pb.RerankRequest(query="drill", documents=DOCUMENTS, strict=True))
    assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    detail = error_details_pb2.ErrorInfo()
    assert rpc_status.from_call(caught.value).details[0].Unpack(detail)
    assert detail.reason == "DeadlineError"


def test_the_callers_deadline_is_the_budget(hurried):
    """A call that brings time gets it, though the default budget is short."""
    with grpc.insecure_channel(hurried.target) as channel:
        answer = pb_grpc.RerankServiceStub(channel).Rerank(
            pb.RerankRequest(query="drill", documents=DOCUMENTS[:200]), timeout=PATIENCE_S
        )
    assert (answer.scored, list(answer.degraded)) == (200, [])


def test_embed_has_no_half_answer(cross, tmp_path):
    """DEADLINE_EXCEEDED: a vector short is no answer."""
    bi = make_bi_encoder(tmp_path / "bi")
    flags = ["--models.reranker", cross, "--models.encoders", bi, "--workers", 1]
    hurry = ["--default-budget-ms", 1, "--safety-margin-ms", 0.5]
    with running(tmp_path / "run", *flags, *hurry) as sidecar:
        with grpc.insecure_channel(sidecar.target) as channel:
            stub = pb_grpc.EmbedServiceStub(channel)
            with pytest.raises(grpc.RpcError) as caught:
                stub.Embed(pb.EmbedRequest(texts=[LONG] * 256))
        assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED


def test_cancelled_calls_are_dropped_and_others_served(cross, tmp_path):
    """Each is logged as cancelled; a call after twenty of them is answered whole."""
    flags = ["--models.reranker", cross, "--workers", 1, "--default-budget-ms", 60_000]
    with running(tmp_path, *flags) as sidecar, grpc.insecure_channel(sidecar.target) as channel:
        stub = pb_grpc.RerankServiceStub(channel)
        request = pb.RerankRequest(query="drill", documents=DOCUMENTS)
        calls = [stub.Rerank.future(request) for _ in range(20)]
        # One answer shows that the others were accepted: they were sent before it.
        stub.Rerank(pb.RerankRequest(query="drill", documents=DOCUMENTS[:1]))
        for call in calls:
            call.cancel()
        cancelled = sum(call.cancelled() for call in calls)
        answer = stub.Rerank(pb.RerankRequest(query="drill", documents=DOCUMENTS[:5]))
        assert answer.scored == 5
        lines = sidecar.wait_logged("call", count=22)
        statuses = [line["status"] for line in lines]
        assert statuses.count("CANCELLED") <= cancelled
        assert statuses.count("CANCELLED") + statuses.count("OK") == 22
        assert "CANCELLED" in statuses
        assert sidecar.stop() == 0


def _task(count, **facts):
    candidates = tuple(
        Candidate(id=str(n), index=n, first_stage_rank=count - n, content=f"{n} {LONG}")
        for n in range(count)
    )
    return RerankTask(query="drill", candidates=candidates, **facts)


def _rerank(task, engine, shelf, deadline):
    scorer = Scorer(engine, Turnstile(1))
    return rerank(task, scorer, shelf, Caller("somebody"), deadline, Stages())


async def test_a_cancelled_rerank_leaves_nothing_in_the_queue(cross):
    """The engine's queue is empty soon, and the worker free for others."""
    with Engine(workers=1) as engine:
        shelf = ModelShelf()
        shelf.put(load_models(ModelSettings(reranker=str(cross)), engine))
        works = [
            asyncio.create_task(_rerank(_task(1000), engine, shelf, math.inf)) for _ in range(10)
        ]
        await asyncio.to_thread(wait_until, lambda: engine.waiting > 0)
        for work in works:
            work.cancel()
        ended = await asyncio.gather(*works, return_exceptions=True)
        assert all(isinstance(error, asyncio.CancelledError) for error in ended)
        ranking = await _rerank(_task(3), engine, shelf, math.inf)
        assert ranking.scored == 3
        await asyncio.to_thread(wait_until, lambda: engine.waiting == 0)


async def test_candidates_are_taken_in_first_stage_order(cross):
    """A deadline in the past scores nothing and answers the first stage: rank, not list order."""
    with Engine(workers=1) as engine:
        shelf = ModelShelf()
        shelf.put(load_models(ModelSettings(reranker=str(cross)), engine))
        ranking = await _rerank(_task(4), engine, shelf, time.monotonic() - 1)
        assert [item.candidate.index for item in ranking.placed] == [3, 2, 1, 0]
        assert [reason.name for reason in ranking.degraded] == ["DEADLINE"]
        assert (ranking.scored, ranking.model) == (0, None)


async def test_scoring_that_fails_leaves_the_first_stages_order(cross):
    """SCORING_FAILED and no scores at all, the cause in the log; strict raises."""
    with Engine(workers=1) as engine:
        shelf = ModelShelf()
        models = load_models(ModelSettings(reranker=str(cross)), engine)
        shelf.put(models)
        path = models.rerankers[0].model.path
        forward = path.forward
        path.forward = lambda tokens: forward(tokens) * math.nan
        with capture_logs() as log:
            ranking = await _rerank(_task(4), engine, shelf, math.inf)
        (line,) = log
        assert (line["event"], line["log_level"]) == ("scoring failed", "warning")
        assert "NaN" in str(line["exc_info"])
        assert [item.candidate.index for item in ranking.placed] == [3, 2, 1, 0]
        assert all(item.score is None for item in ranking.placed)
        assert [reason.name for reason in ranking.degraded] == ["SCORING_FAILED"]
        with pytest.raises(ScoringError):
            await _rerank(_task(4, strict=True), engine, shelf, math.inf)


async def test_before_the_models_are_loaded(cross):
    """Health is NOT_SERVING; Rerank answers the first stage, everything else UNAVAILABLE."""
    with Engine(workers=1) as engine:
        settings = Settings(port=0, models=ModelSettings(reranker=str(cross)))
        live = Live(Standing.read(settings))
        ground, gate, metrics = stand_on(live, engine), Gate(), Metrics()
        reloader = Reloader(lambda: settings, ground, metrics)
        frame = Frame(live, gate, metrics, NoTraces())
        async with open_services(ground, reloader) as services, AsyncExitStack() as stack:
            word = Health(service.name for service in services)
            port = await stack.enter_async_context(listening(live, services, frame, gate, word))
            channel = await stack.enter_async_context(
                grpc.aio.insecure_channel(f"127.0.0.1:{port}")
            )
            health = health_pb2_grpc.HealthStub(channel)
            for name in ("", *(service.name for service in services)):
                found = await health.Check(health_pb2.HealthCheckRequest(service=name))
                assert found.status == health_pb2.HealthCheckResponse.NOT_SERVING
            stub = pb_grpc.RerankServiceStub(channel)
            request = pb.RerankRequest(query="drill", documents=DOCUMENTS[:3])
            answer = await stub.Rerank(request)
            assert list(answer.degraded) == [pb.DEGRADED_REASON_MODEL_NOT_READY]
            assert [item.index for item in answer.documents] == [0, 1, 2]
            assert not answer.HasField("model")
            request.strict = True
            for call in (
                stub.Rerank(request),
                pb_grpc.EmbedServiceStub(channel).Embed(pb.EmbedRequest(texts=["a"])),
                pb_grpc.ModelServiceStub(channel).ModelInfo(pb.ModelInfoRequest()),
            ):
                with pytest.raises(grpc.RpcError) as caught:
                    await call
                assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
            await reloader.start()
            await word.serve()
            found = await health.Check(health_pb2.HealthCheckRequest())
            assert found.status == health_pb2.HealthCheckResponse.SERVING
            assert (await stub.Rerank(request, timeout=PATIENCE_S)).scored == 3


def test_weights_that_give_no_number_are_refused_at_load(tmp_path):
    """By name, before a text is read; the server ends with something to mend."""
    folder = make_cross_encoder(tmp_path / "broken")
    weights = load_file(folder / "model.safetensors")
    weights["classifier.weight"] *= 3e38
    save_file(weights, folder / "model.safetensors", {"format": "pt"})
    with Engine(workers=1) as engine, pytest.raises(ArtifactError, match="weight holds"):
        load_models(ModelSettings(reranker=str(folder)), engine)
