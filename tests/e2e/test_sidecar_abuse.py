"""What nobody means to send: poison, broken bytes, floods, callers that are slow or vanish."""

from __future__ import annotations

import asyncio
import fcntl
import os
import random
import resource
import socket
import threading
from contextlib import ExitStack, suppress

import grpc
import httpx
import numpy as np
import onnx
import pytest
import schemathesis
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from hypothesis import HealthCheck, given, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import positive_data_acceptance

from rerank_core.artifact import open_artifact
from rerank_core.engine import load_cross_encoder
from rerank_proto.rerank.v1 import rerank_pb2 as pb
from rerank_proto.rerank.v1 import rerank_pb2_grpc as pb_grpc
from tests.half_sent import (
    GOAWAY,
    PING,
    PREFACE,
    connected,
    deaf_calls,
    frames,
    greeted,
    half_a_call,
    ping,
    reset,
)
from tests.serving_load import load, requests
from tests.sidecar_process import PATIENCE_S, running, wait_until
from tests.tiny_models import make_cross_encoder

POISON = "zebra"
BODY = {"query": "drill", "documents": ["oak chair", "cordless drill"]}


@pytest.fixture(scope="module")
def cross(tmp_path_factory):
    """A cross-encoder, as somebody exported it, whose score of one word is no number."""
    folder = make_cross_encoder(tmp_path_factory.mktemp("abuse") / "cross")
    model = load_cross_encoder(open_artifact(folder))
    (token,) = model.text.query_ids(POISON)
    (folder / "model.safetensors").unlink()
    words = np.random.default_rng(1).normal(size=(30522, 1)).astype(np.float32)
    words[token] = np.nan
    rows = ("rows", "tokens")
    graph = onnx.helper.make_graph(
        [
            onnx.helper.make_node("Gather", ["words", "input_ids"], ["scores"]),
            onnx.helper.make_node("ReduceMean", ["scores"], ["logits"], axes=[1], keepdims=0),
        ],
        "mean of words",
        [onnx.helper.make_tensor_value_info("input_ids", onnx.TensorProto.INT64, rows)],
        [onnx.helper.make_tensor_value_info("logits", onnx.TensorProto.FLOAT, ("rows", 1))],
        [onnx.numpy_helper.from_array(words, "words")],
    )
    (folder / "onnx").mkdir()
    opset = [onnx.helper.make_opsetid("", 17)]
    exported = onnx.helper.make_model(graph, opset_imports=opset, ir_version=9)
    onnx.save(exported, folder / "onnx" / "model.onnx")
    return folder


@pytest.fixture(scope="module")
def sidecar(cross, tmp_path_factory):
    flags = ["--models.reranker", cross, "--default-budget-ms", 60_000, "--http.request-s", 3]
    flags += ["--limits.max-message-bytes", 1_000_000, "--limits.request-s", 3]
    with running(tmp_path_factory.mktemp("run"), *flags, http=True) as started:
        yield started
        assert_well(started)
        assert started.stop() == 0
        assert started.errors == ""


def assert_well(sidecar):
    """It answers on both surfaces, and nothing came to it as a surprise."""
    assert rerank(sidecar, "cordless drill").scored == 1
    assert httpx.post(f"{sidecar.url}/v2/rerank", json=BODY).headers["x-rerank-scored"] == "2"
    assert sidecar.logged("bug") == []


def rerank(sidecar, *texts, **facts):
    documents = [pb.Document(id=str(n), text=text) for n, text in enumerate(texts)]
    request = pb.RerankRequest(query="drill", documents=documents, **facts)
    with grpc.insecure_channel(sidecar.target) as channel:
        return pb_grpc.RerankServiceStub(channel).Rerank(request, timeout=PATIENCE_S)


def test_a_poison_document_harms_its_own_request_alone(sidecar):
    """First-stage order and SCORING_FAILED for that one; beside it, others get their scores."""
    answers, poisoned = [], []

    def ask(found, *texts):
        found += [rerank(sidecar, *texts) for _ in range(20)]

    threads = [
        threading.Thread(target=ask, args=(answers, "oak chair", "cordless drill")),
        threading.Thread(target=ask, args=(poisoned, "oak chair", POISON, "cordless drill")),
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE_S)
    alone = rerank(sidecar, "oak chair", "cordless drill")
    assert len(answers) == len(poisoned) == 20
    for answer in answers:
        assert [item.rerank.logit for item in answer.documents] == [
            item.rerank.logit for item in alone.documents
        ]
    for answer in poisoned:
        assert list(answer.degraded) == [pb.DEGRADED_REASON_SCORING_FAILED]
        assert [item.index for item in answer.documents] == [0, 1, 2]
        assert answer.scored == 0
    with pytest.raises(grpc.RpcError) as caught:
        rerank(sidecar, POISON, strict=True)
    assert caught.value.code() is grpc.StatusCode.INTERNAL


def test_malformed_protobuf_is_an_argument_error(sidecar):
    """Random bytes, and messages with a byte changed or cut off: an answer or INVALID_ARGUMENT."""
    dice = random.Random(5)
    sound = requests(1, 5, 5)[0]
    codes = set()
    with grpc.insecure_channel(sidecar.target) as channel:
        for rpc in ("RerankService/Rerank", "EmbedService/Embed", "ModelService/ModelInfo"):
            send = channel.unary_unary(f"/rerank.v1.{rpc}")
            for _ in range(150):
                content = bytearray(sound)
                content[dice.randrange(len(content))] = dice.randrange(256)
                for broken in (dice.randbytes(dice.randrange(200)), bytes(content), sound[:-9]):
                    try:
                        send(broken, timeout=PATIENCE_S)
                    except grpc.RpcError as error:
                        codes.add(error.code())
    # NOT_FOUND: a byte of another field's tag makes a model's name of a text.
    allowed = {grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.NOT_FOUND}
    assert grpc.StatusCode.INVALID_ARGUMENT in codes
    assert codes <= allowed
    assert_well(sidecar)


def test_bytes_of_many_parts_do_not_fill_the_memory(cross, tmp_path):
    """16 MiB of two bytes a part: documents would decode to 400 MB, numbers take seconds."""
    query = pb.RerankRequest(query="drill").SerializeToString()
    with running(tmp_path, "--models.reranker", cross) as sidecar:
        before_mb = sidecar.resident_mb("VmHWM")
        for part in (b"\x12\x00", b"\x18\x01"):
            content = query + part * (8 << 20)
            with grpc.insecure_channel(sidecar.target) as channel:
                send = channel.unary_unary("/rerank.v1.RerankService/Rerank")
                with pytest.raises(grpc.RpcError) as caught:
                    send(content, timeout=PATIENCE_S)
            assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
            assert "parts" in caught.value.details()
        # The bytes themselves, a few times over on their way through gRPC.
        assert sidecar.resident_mb("VmHWM") - before_mb < 100


def test_random_bytes_at_both_ports(sidecar):
    """Connections that speak nothing anybody knows are closed; others are served."""
    dice = random.Random(6)
    for target in (sidecar.target, sidecar.url.removeprefix("http://")):
        host, port = target.split(":")
        for size in (1, 10, 100, 1000, 10_000):
            for _ in range(5):
                with socket.create_connection((host, int(port))) as connection:
                    connection.sendall(dice.randbytes(size))
    assert_well(sidecar)


def test_a_log_that_nobody_reads_stops_nobody(cross, tmp_path):
    """Stdout is a full pipe: calls are answered, and the process ends as ever."""
    os.mkfifo(tmp_path / "log")
    unread = os.open(tmp_path / "log", os.O_RDONLY | os.O_NONBLOCK)
    fcntl.fcntl(unread, fcntl.F_SETPIPE_SZ, 4096)
    try:
        with running(tmp_path, "--models.reranker", cross, http=True) as sidecar:
            for _ in range(50):  # a line each, of some 300 bytes
                assert httpx.post(f"{sidecar.url}/v2/rerank", json=BODY).status_code == 200
            assert rerank(sidecar, "cordless drill").scored == 1
            assert "rerank_log_lines_lost_total 0.0" in httpx.get(f"{sidecar.url}/metrics").text
            assert sidecar.stop() == 0
            assert sidecar.errors == ""
    finally:
        os.close(unread)


def test_a_thousand_slow_clients_are_nobody_elses_matter(sidecar):
    """500 on each surface hold half a head or half a body; who sends a whole one is answered."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, max(soft, 4096)), hard))
    held: list[socket.socket] = []
    head = b"POST /rerank HTTP/1.1\r\nhost: x\r\ncontent-length: 1000\r\n\r\n"
    try:
        for _ in range(250):
            held.append(half_a_call(sidecar.target))
            for target, half in (
                (sidecar.target, PREFACE[:12]),
                (sidecar.url.removeprefix("http://"), head[:30]),
                (sidecar.url.removeprefix("http://"), head + b"{"),
            ):
                held.append(connected(target))
                held[-1].sendall(half)
        for _ in range(5):
            assert_well(sidecar)
        # Those 250 were calls, and are ended.
        late = sidecar.wait_logged("call", count=250, surface="grpc", status="DEADLINE_EXCEEDED")
        assert "not whole within 3 s" in late[0]["error"]
    finally:
        for connection in held:
            connection.close()


def test_calls_that_do_not_arrive_are_counted_and_ended(cross, tmp_path):
    """Two that stall where two may be under way: a third is told so, and served once they end."""
    flags = ["--models.reranker", cross, "--limits.max-calls", 2, "--limits.request-s", 3]
    with running(tmp_path, *flags, http=True) as sidecar, ExitStack() as held:
        metrics = f"{sidecar.url}/metrics"
        for _ in range(2):
            held.enter_context(half_a_call(sidecar.target))
        wait_until(lambda: "calls_under_way 2.0" in httpx.get(metrics).text)
        with pytest.raises(grpc.RpcError) as refused:
            rerank(sidecar, "cordless drill")
        assert refused.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        sidecar.wait_logged("call", count=2, status="DEADLINE_EXCEEDED")
        assert rerank(sidecar, "cordless drill").scored == 1


def test_what_is_slow_to_come_has_bounded_room(cross, tmp_path):
    """Room for two of the largest: a third that stalls is refused, whoever is prompt is served."""
    flags = ["--models.reranker", cross, "--limits.request-s", 600]
    flags += ["--limits.max-message-bytes", 1_000_000, "--limits.max-bytes-under-way", 2_000_000]
    refused = {"status": "RESOURCE_EXHAUSTED"}
    with running(tmp_path, *flags, http=True) as sidecar, ExitStack() as held:
        metrics = f"{sidecar.url}/metrics"

        def stall(under_way):
            connection = held.enter_context(half_a_call(sidecar.target))
            wait_until(lambda: f"calls_under_way {under_way}.0" in httpx.get(metrics).text)
            return connection

        first = stall(1)
        stall(2)
        held.enter_context(half_a_call(sidecar.target))
        (line,) = sidecar.wait_logged("call", **refused)
        assert "2 requests are slow to come" in line["error"]
        for _ in range(5):
            assert rerank(sidecar, "cordless drill").scored == 1
        # Where one leaves, another may be slow; and then again no further one.
        reset(first)
        wait_until(lambda: "calls_under_way 1.0" in httpx.get(metrics).text)
        stall(2)
        held.enter_context(half_a_call(sidecar.target))
        sidecar.wait_logged("call", count=2, **refused)
        assert "calls_under_way 2.0" in httpx.get(metrics).text
        assert sidecar.errors == ""


def test_grpc_answers_that_nobody_takes_are_under_way(cross, tmp_path):
    """Two are held back by their client where two may be: a third is refused until it leaves."""
    message = pb.RerankRequest(query="drill", documents=[pb.Document(id="a", text="oak")])
    flags = ["--models.reranker", cross, "--limits.max-calls", 2]
    with running(tmp_path, *flags, http=True) as sidecar:
        metrics = f"{sidecar.url}/metrics"
        method = "rerank.v1.RerankService/Rerank"
        with deaf_calls(sidecar.target, method, message.SerializeToString(), count=2):
            sidecar.wait_logged("call", count=2, status="OK")
            assert "calls_under_way 2.0" in httpx.get(metrics).text
            with pytest.raises(grpc.RpcError) as refused:
                rerank(sidecar, "cordless drill")
            assert refused.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        wait_until(lambda: "calls_under_way 0.0" in httpx.get(metrics).text)
        assert rerank(sidecar, "cordless drill").scored == 1
        assert sidecar.stop() == 0
        assert sidecar.errors == ""


def test_streams_of_health_and_reflection_are_bounded(cross, tmp_path):
    """Three where four may be at once are one client's share; more are refused, checks are not."""
    flags = ["--models.reranker", cross, "--limits.max-calls", 4]
    with running(tmp_path, *flags) as sidecar, grpc.insecure_channel(sidecar.target) as channel:
        health = health_pb2_grpc.HealthStub(channel)
        mirror = reflection_pb2_grpc.ServerReflectionStub(channel)
        names = reflection_pb2.ServerReflectionRequest(list_services="")
        never = threading.Event()

        def asked():
            yield names
            never.wait()

        watches = [health.Watch(health_pb2.HealthCheckRequest()) for _ in range(2)]
        mirrored = mirror.ServerReflectionInfo(asked())
        assert next(mirrored).HasField("list_services_response")
        for watch in watches:
            assert next(watch).status == health_pb2.HealthCheckResponse.SERVING
        for one_more in (
            health.Watch(health_pb2.HealthCheckRequest()),
            mirror.ServerReflectionInfo(iter([names])),
        ):
            with pytest.raises(grpc.RpcError) as refused:
                next(one_more)
            assert refused.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert rerank(sidecar, "cordless drill").scored == 1
        assert sidecar.health() == health_pb2.HealthCheckResponse.SERVING
        watches[0].cancel()
        never.set()
        wait_until(lambda: _watched(health))
        assert sidecar.stop() == 0


def _watched(health):
    """Whether there is room for one more watcher."""
    try:
        return next(health.Watch(health_pb2.HealthCheckRequest())).status
    except grpc.RpcError:
        return False


def test_grpc_connections_beyond_the_limit_are_closed(cross, tmp_path):
    """Three are held where three may be; one more is closed, and served when one has left."""
    flags = ["--models.reranker", cross, "--max-connections", 3]
    with running(tmp_path, *flags, serving=False) as sidecar, ExitStack() as held:
        sidecar.wait_logged("serving")
        connections = [held.enter_context(connected(sidecar.target)) for _ in range(3)]
        for connection in connections:  # the server's SETTINGS: it has taken it in
            connection.settimeout(PATIENCE_S)
            connection.sendall(PREFACE)
            assert connection.recv(9)
        with connected(sidecar.target) as one_more:
            one_more.settimeout(PATIENCE_S)
            with suppress(ConnectionResetError):
                assert one_more.recv(1) == b""
        connections[0].close()
        request = pb.ModelInfoRequest()
        with grpc.insecure_channel(sidecar.target) as channel:
            stub = pb_grpc.ModelServiceStub(channel)
            assert stub.ModelInfo(request, timeout=PATIENCE_S, wait_for_ready=True).is_default


def test_who_pings_too_often_is_let_go(sidecar):
    """One ping, then three more within 10 s: GOAWAY of ENHANCE_YOUR_CALM; others are served."""
    with greeted(sidecar.target) as connection:
        connection.settimeout(PATIENCE_S)
        ping(connection, count=4)
        received = [(kind, content) for kind, _, content in frames(connection)]
    assert [kind for kind, _ in received].count(PING) == 4
    kind, content = received[-1]
    # RFC 9113, 6.8 and 7: the last stream, the error's code, and what the peer adds.
    assert (kind, content[4:]) == (GOAWAY, (11).to_bytes(4, "big") + b"too_many_pings")
    assert_well(sidecar)


@pytest.mark.long
def test_a_silent_peer_is_dropped_and_one_that_answers_is_kept(cross, tmp_path):
    """After 60 s without a word the server pings, 20 s later it closes what has not answered."""
    with (
        running(tmp_path, "--models.reranker", cross) as sidecar,
        greeted(sidecar.target) as silent,
        greeted(sidecar.target) as lively,
    ):
        asked = []

        def answer():
            for kind, flags, content in frames(lively):
                if kind == PING and not flags:
                    asked.append(content)
                    ping(lively, answer_to=content)

        answering = threading.Thread(target=answer, daemon=True)
        answering.start()
        silent.settimeout(5 * PATIENCE_S)
        with suppress(ConnectionResetError):
            kinds = [kind for kind, flags, _ in frames(silent) if not flags]
        assert PING in kinds
        assert asked
        assert answering.is_alive()


async def test_callers_that_vanish_cost_nothing_after(sidecar):
    """A hundred calls whose deadline passes, fifty that are reset: the queue is soon empty."""
    outcome = await load(sidecar.target, 400, 0.25, 5, requests(4, 200, 100))
    assert outcome.errors["DEADLINE_EXCEEDED"] > 0
    before = _ended_early(sidecar)
    held = [half_a_call(sidecar.target) for _ in range(50)]
    # So that they have come: before that there is nothing to end.
    assert (await asyncio.to_thread(rerank, sidecar, "cordless drill")).scored == 1
    for connection in held:
        reset(connection)
    await asyncio.to_thread(wait_until, lambda: _ended_early(sidecar) > before)
    page = ""
    async with httpx.AsyncClient() as client, asyncio.timeout(PATIENCE_S):
        while "rerank_engine_requests 0.0" not in page or "waiting_requests 0.0" not in page:
            page = (await client.get(f"{sidecar.url}/metrics")).text
    await asyncio.to_thread(assert_well, sidecar)


def _ended_early(sidecar):
    """Calls whose caller vanished: gRPC ends the call, and what was to come of it, in any order."""
    statuses = ("CANCELLED", "INVALID_ARGUMENT")
    return sum(len(sidecar.logged("call", status=status)) for status in statuses)


def test_the_openapi_page_is_true(sidecar):
    """What it lets through is answered as it says, and what it forbids is refused: schemathesis."""
    schema = schemathesis.openapi.from_url(f"{sidecar.url}/openapi.json")
    count = int(os.environ.get("SCHEMATHESIS_EXAMPLES", "15"))
    for operation in schema.get_all_operations():
        _check_operation(operation.ok(), count)
    assert_well(sidecar)


def _check_operation(operation, count):
    @given(case=operation.as_strategy())
    @settings(max_examples=count, deadline=None, suppress_health_check=list(HealthCheck))
    def check(case):
        # What the schema lets through may still be over a limit of the settings: 422, as it says.
        # A strict request whose budget ends is 504, as it says too: a server's error is 500.
        answer = case.call_and_validate(
            excluded_checks=[positive_data_acceptance, not_a_server_error]
        )
        assert answer.status_code != 500

    check()
