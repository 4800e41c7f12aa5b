"""Both clients against the real process."""

from __future__ import annotations

import asyncio
import math
import socket
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import grpc
import pytest
import trustme
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_health.v1.health import HealthServicer as Health

from rerank_client import (
    AsyncRerankClient,
    DeadlineExceededError,
    Document,
    InvalidRequestError,
    NotFoundError,
    RerankClient,
    ServerError,
    Tls,
    UnavailableError,
)
from rerank_proto.rerank.v1 import rerank_pb2 as pb
from rerank_proto.rerank.v1 import rerank_pb2_grpc as pb_grpc
from sidecar.security.keys import new_key
from tests.sidecar_process import PATIENCE_S, running, wait_until
from tests.tiny_models import make_bi_encoder, make_cross_encoder

DOCUMENTS = [
    Document("a", text="cordless drill", first_stage_score=2.0),
    Document("b", fields={"title": "oak chair", "color": ["brown", "black"]}),
    Document("c", text="drill bit"),
]
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING
LONG = [Document(str(n), text=f"{n} " + "very long " * 500) for n in range(1000)]


@pytest.fixture(scope="module")
def sidecar(tmp_path_factory):
    folder = tmp_path_factory.mktemp("client")
    cross, bi = make_cross_encoder(folder / "cross"), make_bi_encoder(folder / "bi")
    flags = ["--models.reranker", cross, "--models.encoders", bi, "--workers", 1]
    flags += ["--limits.max-message-bytes", 8_000_000, "--default-budget-ms", 15]
    flags += ["--safety-margin-ms", 5]
    with running(folder / "run", *flags) as started:
        yield started


@pytest.fixture
def client(sidecar):
    with RerankClient(sidecar.target, timeout_s=PATIENCE_S) as opened:
        yield opened


def test_all_calls_of_the_blocking_client(client):
    """Rerank, Embed and ModelInfo as dataclasses."""
    ranking = client.rerank("drill", DOCUMENTS)
    assert sorted(document.id for document in ranking.documents) == ["a", "b", "c"]
    logits = [document.rerank.logit for document in ranking.documents]
    assert logits == sorted(logits, reverse=True)
    by_id = {document.id: document for document in ranking.documents}
    assert (by_id["a"].first_stage_score, by_id["b"].first_stage_score) == (2.0, None)
    assert (ranking.scored, ranking.degraded, ranking.model.id) == (3, (), "cross")
    assert "score" in ranking.stages_ms
    embedding = client.embed(["drill", "chair"])
    assert [len(vector) for vector in embedding.vectors] == [32, 32]
    description = client.model_info()
    assert (description.kind, description.loaded) == ("cross-encoder", ("cross", "bi"))
    assert client.model_info("bi").kind == "bi-encoder"


async def test_the_asynchronous_client_answers_the_same(sidecar, client):
    """The same calls, read the same way."""
    async with AsyncRerankClient(sidecar.target, timeout_s=PATIENCE_S) as other:
        ranking, embedding, description = await asyncio.gather(
            other.rerank("drill", DOCUMENTS, top_n=2), other.embed(["drill"]), other.model_info()
        )
    same = client.rerank("drill", DOCUMENTS, top_n=2)
    assert [item.id for item in ranking.documents] == [item.id for item in same.documents]
    assert len(ranking.documents) == 2
    assert embedding.vectors[0] == pytest.approx(client.embed(["drill"]).vectors[0], abs=1e-5)
    assert description == client.model_info()


def test_a_wrong_call_says_what_is_wrong(client):
    """Field, resource; over both kinds of error detail."""
    with pytest.raises(InvalidRequestError) as bad:
        client.rerank("drill", [DOCUMENTS[0], DOCUMENTS[0]], strict=True)
    assert [violation.field for violation in bad.value.violations] == ["documents[1].id"]
    with pytest.raises(NotFoundError) as missing:
        client.embed(["a"], model="nobody")
    assert (missing.value.kind, missing.value.name) == ("bi-encoder", "nobody")
    with pytest.raises(InvalidRequestError, match="larger than max"):
        client.rerank("drill", [Document("a", text="x" * 9_000_000)], strict=True)
    with pytest.raises(ServerError, match="UNIMPLEMENTED"):
        client.search("shop", "drill")


async def test_the_asynchronous_client_raises_the_same(sidecar):
    """One tree of errors for both."""
    async with AsyncRerankClient(sidecar.target, timeout_s=PATIENCE_S) as client:
        with pytest.raises(InvalidRequestError) as bad:
            await client.rerank("", DOCUMENTS, strict=True)
    assert [violation.field for violation in bad.value.violations] == ["query"]


def test_a_server_that_is_not_there_is_unavailable():
    """At once: nobody listens."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        target = f"127.0.0.1:{free.getsockname()[1]}"
        with RerankClient(target) as client:
            ranking = client.rerank("drill", DOCUMENTS)
            assert [item.id for item in ranking.documents] == ["a", "b", "c"]
            assert ranking.degraded == ("UNAVAILABLE",)
            with pytest.raises(UnavailableError):
                client.rerank("drill", DOCUMENTS, strict=True)


def test_a_server_that_does_not_answer_is_late():
    """The call ends at its own deadline, not the client's."""
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        target = f"127.0.0.1:{silent.getsockname()[1]}"
        with RerankClient(target, timeout_s=PATIENCE_S) as client:
            ranking = client.rerank("drill", DOCUMENTS, timeout_s=0.2)
            assert isinstance(ranking.error, DeadlineExceededError)
            assert [item.id for item in ranking.documents] == ["a", "b", "c"]
            with pytest.raises(DeadlineExceededError):
                client.rerank("drill", DOCUMENTS, timeout_s=0.2, strict=True)


async def test_no_failure_reaches_a_frontend(sidecar):
    """Whatever is wrong with the request or the server: an order, and the reason. Both clients."""
    with RerankClient(sidecar.target, timeout_s=PATIENCE_S) as client:
        for documents in ([DOCUMENTS[0], DOCUMENTS[0]], [Document("a", text="x" * 9_000_000)]):
            ranking = client.rerank("drill", documents)
            assert [item.index for item in ranking.documents] == list(range(len(documents)))
            assert ranking.degraded == ("INVALID_REQUEST",)
        assert client.rerank("drill", DOCUMENTS, model="nobody").degraded == ("NOT_FOUND",)
        assert client.rerank("drill", DOCUMENTS, priority="soon").degraded == ("INVALID_REQUEST",)
        broken = [Document("a", fields=None), *DOCUMENTS[1:]]
        assert client.rerank("drill", broken).degraded == ("INVALID_REQUEST",)
        for unfit in (math.nan, "1"):
            ranking = client.rerank("drill", DOCUMENTS, timeout_s=unfit)
            assert ranking.degraded == ("INVALID_REQUEST",)
            assert "timeout_s" in str(ranking.error) or "real number" in str(ranking.error)
        for long_s in (math.inf, 1e10, None):
            assert client.rerank("drill", DOCUMENTS, timeout_s=long_s).scored == 3
        # Documents that come from a generator are ranked as those of a list.
        assert client.rerank("drill", iter(DOCUMENTS)).scored == 3
    async with AsyncRerankClient(sidecar.target, timeout_s=PATIENCE_S) as other:
        assert (await other.rerank("", DOCUMENTS)).degraded == ("INVALID_REQUEST",)


class _Flaky(pb_grpc.RerankServiceServicer):
    """A server that fails so often with this status, and then answers."""

    def __init__(self, code, failures):
        self.code, self.failures, self.calls = code, failures, 0

    def Rerank(self, request, context):  # noqa: N802  the contract's name
        """See the contract."""
        self.calls += 1
        if self.calls <= self.failures:
            context.abort(self.code, "for now")
        return pb.RerankResponse(scored=len(request.documents))


@pytest.mark.parametrize(
    ("code", "failures", "calls", "degraded"),
    [
        (grpc.StatusCode.UNAVAILABLE, 2, 3, ()),
        (grpc.StatusCode.UNAVAILABLE, 99, 4, ("UNAVAILABLE",)),
        (grpc.StatusCode.INTERNAL, 1, 1, ("INTERNAL",)),
    ],
)
def test_what_is_unavailable_is_asked_again(code, failures, calls, degraded):
    """By the service config, four times at most within one call; nothing else is.

    As large as a full page of hits, too: gRPC by itself keeps 256 KiB for another attempt.
    """
    servicer = _Flaky(code, failures)
    server = grpc.server(ThreadPoolExecutor(2))
    pb_grpc.add_RerankServiceServicer_to_server(servicer, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    with RerankClient(f"127.0.0.1:{port}", timeout_s=PATIENCE_S) as client:
        ranking = client.rerank("drill", [Document(str(n), text="x" * 3000) for n in range(100)])
    server.stop(None).wait()
    assert (servicer.calls, ranking.degraded) == (calls, degraded)


class _Foreign(grpc.GenericRpcHandler):
    """A server whose answer is bytes of another kind."""

    def service(self, details):
        """See `grpc.GenericRpcHandler`."""
        if not details.method.startswith("/rerank.v1."):  # health is not known here
            return None
        return grpc.unary_unary_rpc_method_handler(lambda *_: b"no protobuf")


async def test_an_answer_that_cannot_be_read_is_the_servers_fault():
    """The order, and the reason. Both clients."""
    server = grpc.server(ThreadPoolExecutor(2), handlers=[_Foreign()])
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    with RerankClient(f"127.0.0.1:{port}", timeout_s=PATIENCE_S) as client:
        rankings = [client.rerank("drill", DOCUMENTS)]
    async with AsyncRerankClient(f"127.0.0.1:{port}", timeout_s=PATIENCE_S) as other:
        rankings.append(await other.rerank("drill", DOCUMENTS))
        with pytest.raises(ServerError, match="INTERNAL"):
            await other.model_info()
    server.stop(None).wait()
    for ranking in rankings:
        assert [item.id for item in ranking.documents] == ["a", "b", "c"]
        assert ranking.degraded == ("INTERNAL",)


def test_only_servers_that_serve_are_asked():
    """Of two behind one name the one that is NOT_SERVING gets no call, until it serves."""
    servicers, words, ports, servers = [], [], [], []
    for status in (health_pb2.HealthCheckResponse.SERVING, NOT_SERVING):
        server, servicer, word = grpc.server(ThreadPoolExecutor(4)), _Flaky(None, 0), Health()
        pb_grpc.add_RerankServiceServicer_to_server(servicer, server)
        health_pb2_grpc.add_HealthServicer_to_server(word, server)
        word.set("rerank.v1.RerankService", status)
        ports.append(server.add_insecure_port("127.0.0.1:0"))
        server.start()
        servicers.append(servicer)
        words.append(word)
        servers.append(server)
    target = "ipv4:" + ",".join(f"127.0.0.1:{port}" for port in ports)
    with RerankClient(target, timeout_s=PATIENCE_S) as client:
        for _ in range(10):
            assert client.rerank("drill", DOCUMENTS).scored == 3
        assert [servicer.calls for servicer in servicers] == [10, 0]
        words[1].set("rerank.v1.RerankService", health_pb2.HealthCheckResponse.SERVING)
        wait_until(lambda: client.rerank("drill", DOCUMENTS) and servicers[1].calls)
        words[0].set("rerank.v1.RerankService", NOT_SERVING)
        wait_until(lambda: _asks_alone(client, *servicers))
    for server in servers:
        server.stop(None).wait()


def _asks_alone(client, drained, other):
    before = drained.calls, other.calls
    for _ in range(4):
        assert client.rerank("drill", DOCUMENTS).degraded == ()
    return (drained.calls, other.calls) == (before[0], before[1] + 4)


async def test_keys_and_certificates_of_both_clients(tmp_path):
    """With mTLS and keys: who has both is served; without either the order and the reason."""
    ca = trustme.CA()
    own, caller = ca.issue_cert("localhost"), ca.issue_cert("shop")
    files = {"ca": ca.cert_pem, "server-key": own.private_key_pem, "key": caller.private_key_pem}
    files |= {"server": own.cert_chain_pems[0], "caller": caller.cert_chain_pems[0]}
    for name, content in files.items():
        content.write_to_path(tmp_path / name)
    key, lines = new_key("shop")
    (tmp_path / "keys").write_text(lines)
    flags = ["--models.reranker", make_cross_encoder(tmp_path / "cross")]
    flags += ["--tls.certificate", tmp_path / "server", "--tls.key", tmp_path / "server-key"]
    flags += ["--tls.client-ca", tmp_path / "ca", "--keys-file", tmp_path / "keys"]
    tls = Tls(tmp_path / "ca", tmp_path / "caller", tmp_path / "key")
    with running(tmp_path / "run", *flags, serving=False) as sidecar:
        sidecar.wait_logged("serving")
        target = sidecar.target.replace("127.0.0.1", "localhost")
        with RerankClient(target, timeout_s=PATIENCE_S, api_key=key, tls=tls) as client:
            assert client.rerank("drill", DOCUMENTS).scored == 3
        async with AsyncRerankClient(target, timeout_s=PATIENCE_S, api_key=key, tls=tls) as other:
            assert (await other.rerank("drill", DOCUMENTS)).scored == 3
        with RerankClient(target, timeout_s=PATIENCE_S, api_key="none", tls=tls) as client:
            assert client.rerank("drill", DOCUMENTS).degraded == ("UNAUTHENTICATED",)
        with RerankClient(target, timeout_s=5, api_key=key, tls=Tls(tmp_path / "ca")) as client:
            assert client.rerank("drill", DOCUMENTS).degraded == ("UNAVAILABLE",)


def test_without_a_timeout_the_servers_default_budget_holds(sidecar):
    """15 ms are never enough for a thousand long documents: a part is scored."""
    with RerankClient(sidecar.target, timeout_s=None) as client:
        ranking = client.rerank("drill", LONG)
        assert ranking.degraded == ("DEADLINE",)
        assert ranking.scored < len(ranking.documents) == 1000
        with pytest.raises(DeadlineExceededError) as late:
            client.rerank("drill", LONG, strict=True)
        assert late.value.reason == "DeadlineError"


async def test_cancelling_an_asynchronous_call_cancels_it_on_the_server(sidecar):
    """The server's log has it. Ten calls: one thread cannot be through with all of them."""
    async with AsyncRerankClient(sidecar.target, timeout_s=PATIENCE_S) as client:
        calls = [asyncio.create_task(client.rerank("drill", LONG)) for _ in range(10)]
        await asyncio.sleep(0)  # they are sent
        await client.model_info()  # sent after them, so they have arrived
        for call in calls:
            call.cancel()
        ended = await asyncio.gather(*calls, return_exceptions=True)
    assert any(isinstance(error, asyncio.CancelledError) for error in ended)
    await asyncio.to_thread(sidecar.wait_logged, "call", status="CANCELLED")


def test_the_client_is_light():
    """A frontend gets gRPC, protobuf and the contract, and nothing that scores or serves."""
    heavy = "numpy onnxruntime tokenizers pydantic structlog opensearchpy rerank_core sidecar"
    program = f"import sys, rerank_client; print(*set(sys.modules) & set('{heavy}'.split()))"
    ended = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert ended.stdout.split() == []


async def test_a_closed_client_says_so(sidecar):
    """In our words; a rerank is the first stage's order."""
    documents = [Document("a", text="oak chair"), Document("b", text="cordless drill")]
    blocking = RerankClient(sidecar.target)
    blocking.close()
    awaited = AsyncRerankClient(sidecar.target)
    await awaited.close()
    for ranking in (blocking.rerank("drill", documents), await awaited.rerank("drill", documents)):
        assert [item.id for item in ranking.documents] == ["a", "b"]
        assert ranking.degraded == ("UNAVAILABLE",)
    with pytest.raises(UnavailableError, match="the client is closed"):
        blocking.model_info()
    with pytest.raises(UnavailableError, match="the client is closed"):
        await awaited.model_info()


@pytest.fixture
def silent():
    """The address of a server that takes a connection and never says a word."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield f"127.0.0.1:{listener.getsockname()[1]}"


async def test_closing_a_client_ends_what_waits(silent):
    """With the first stage's order and the reason, or with our error; no task is cancelled."""
    client = AsyncRerankClient(silent, timeout_s=PATIENCE_S)
    waiting = [asyncio.create_task(client.rerank("drill", DOCUMENTS)) for _ in range(2)]
    waiting.append(asyncio.create_task(client.model_info()))
    await asyncio.sleep(0)  # they are on their way
    await client.close()
    *rankings, error = await asyncio.gather(*waiting, return_exceptions=True)
    for ranking in rankings:
        assert [item.id for item in ranking.documents] == ["a", "b", "c"]
        assert ranking.degraded == ("UNAVAILABLE",)
    assert isinstance(error, UnavailableError)


async def test_a_caller_that_is_cancelled_as_the_client_closes_stays_cancelled(silent):
    """A task group or a timeout waits for just that."""
    client = AsyncRerankClient(silent, timeout_s=PATIENCE_S)
    call = asyncio.create_task(client.rerank("drill", DOCUMENTS))
    await asyncio.sleep(0)
    call.cancel()
    await client.close()
    with pytest.raises(asyncio.CancelledError):
        await call
    async with AsyncRerankClient(silent, timeout_s=PATIENCE_S) as other:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(other.rerank("drill", DOCUMENTS), 0.1)


def test_closing_a_client_ends_what_other_threads_wait_for(silent):
    """As for the asynchronous one; and at the very moment at which a call begins."""
    with ThreadPoolExecutor(4) as threads:
        client = RerankClient(silent, timeout_s=PATIENCE_S)
        calls = [threads.submit(client.rerank, "drill", DOCUMENTS) for _ in range(4)]
        client.close()
        rankings = [call.result(PATIENCE_S) for call in calls]
    client = RerankClient(silent, timeout_s=PATIENCE_S)
    send = client._rpcs["Rerank"]

    def closed_meanwhile(*sent, **options):
        client.close()
        return send(*sent, **options)

    client._rpcs["Rerank"] = closed_meanwhile
    for ranking in (*rankings, client.rerank("drill", DOCUMENTS)):
        assert [item.id for item in ranking.documents] == ["a", "b", "c"]
        assert ranking.degraded == ("UNAVAILABLE",)


def test_a_key_that_no_header_can_carry_is_named():
    """As read from a file, with its line's end."""
    for client in (RerankClient, AsyncRerankClient):
        with pytest.raises(ValueError, match="api_key: has a line break"):
            client("127.0.0.1:9", api_key="secret\n")
