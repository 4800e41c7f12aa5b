"""The HTTP surface against the real process: Cohere's, Jina's and TEI's clients, and operators."""

from __future__ import annotations

import http.client
import json
import re
import socket
import ssl
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager, suppress

import grpc
import httpx
import numpy as np
import pytest
import trustme

from rerank_proto.rerank.v1 import rerank_pb2 as pb
from rerank_proto.rerank.v1 import rerank_pb2_grpc as pb_grpc
from tests.sidecar_process import PATIENCE_S, run, running, wait_until
from tests.tiny_models import make_cross_encoder

TEXTS = ["oak chair", "cordless drill 18V", "drill bit", "", "${parameters.query} ${x}"]
BODY = {"query": "drill", "documents": TEXTS}
BUDGET = {"x-envoy-expected-rq-timeout-ms": "60000"}


@pytest.fixture(scope="module")
def cross(tmp_path_factory):
    return make_cross_encoder(tmp_path_factory.mktemp("http") / "cross")


@pytest.fixture(scope="module")
def sidecar(cross, tmp_path_factory):
    flags = ["--models.reranker", cross, "--default-budget-ms", 60_000, "--http.request-s", 2]
    flags += ["--limits.max-message-bytes", 2_000_000]
    with running(tmp_path_factory.mktemp("run"), *flags, http=True) as started:
        yield started
        assert started.stop() == 0
        assert started.errors == ""
        assert started.logged("bug") == []


@pytest.fixture
def client(sidecar):
    with httpx.Client(base_url=sidecar.url, timeout=PATIENCE_S) as opened:
        yield opened


def _over_grpc(sidecar, texts=TEXTS):
    documents = [pb.Document(id=str(n), text=text or " ") for n, text in enumerate(texts)]
    with grpc.insecure_channel(sidecar.target) as channel:
        return pb_grpc.RerankServiceStub(channel).Rerank(
            pb.RerankRequest(query="drill", documents=documents), timeout=PATIENCE_S
        )


def test_cohere_gets_every_document_in_the_order_of_the_core(client, sidecar):
    """As gRPC answers for the same texts; scores as six decimals that fall."""
    answer = client.post("/v2/rerank", json=BODY | {"model": "cross", "top_n": 100})
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/json"
    results = answer.json()["results"]
    same = _over_grpc(sidecar)
    assert [item["index"] for item in results] == [item.index for item in same.documents]
    numbers = re.findall(r'"relevance_score":([^,}]+)', answer.text)
    assert len(numbers) == len(TEXTS)
    assert all(re.fullmatch(r"\d\.\d{6}", number) for number in numbers)
    assert len({np.float32(number) for number in numbers}) == len(TEXTS)
    assert answer.headers["x-rerank-scored"] == "5"
    assert answer.headers["x-rerank-model"] == same.model.hash
    assert "x-rerank-degraded" not in answer.headers
    assert "score;dur=" in answer.headers["server-timing"]


def test_jina_gets_texts_unless_it_says_no(client):
    """With the model and what was read; documents may be objects."""
    documents = [{"text": text, "sku": 7} for text in TEXTS]
    answer = client.post("/v1/rerank", json={"query": "drill", "documents": documents}).json()
    assert (answer["model"], answer["object"]) == ("cross", "list")
    assert all(item["document"]["text"] == TEXTS[item["index"]] for item in answer["results"])
    short = client.post("/v1/rerank", json=BODY | {"top_n": 2, "return_documents": False}).json()
    assert [sorted(item) for item in short["results"]] == [["index", "relevance_score"]] * 2


def test_long_answers_are_whole(client):
    """A megabyte of texts that JSON has to escape is sent back as it came."""
    texts = [f'{n} 5" \\ öl \u2028 ' * 40 for n in range(1000)]
    answer = client.post("/v1/rerank", json={"query": "drill", "documents": texts}, headers=BUDGET)
    assert answer.status_code == 200
    back = {item["index"]: item["document"]["text"] for item in answer.json()["results"]}
    assert [back[index] for index in range(1000)] == texts


def test_tei_gets_a_list_at_its_root(client):
    """Raw scores are logits, others lie between 0 and 1; the order is the same."""
    asked = {"query": "drill", "texts": TEXTS, "truncate": True}
    shares = client.post("/rerank", json=asked).json()
    logits = client.post("/rerank", json=asked | {"raw_scores": True, "return_text": True}).json()
    assert [item["index"] for item in shares] == [item["index"] for item in logits]
    assert all(0 <= item["score"] <= 1 for item in shares)
    assert all(item["text"] == TEXTS[item["index"]] for item in logits)
    one = 1 / (1 + np.exp(-logits[0]["score"]))
    assert shares[0]["score"] == pytest.approx(one, abs=2e-6)


def test_a_placeholder_in_a_text_is_plain_text(client):
    """Sent back as it came, and nothing is put in its place."""
    answer = client.post("/v1/rerank", json=BODY | {"query": "${x}"}).json()
    texts = [item["document"]["text"] for item in answer["results"]]
    assert sorted(texts) == sorted(TEXTS)


@pytest.mark.parametrize("path", ["/v2/rerank", "/v1/rerank", "/rerank"])
def test_what_is_wrong_is_told_in_each_clients_words(client, path):
    """422 with the field; 404 for a model; 413 for too much; 405 and 404 for no route."""
    key = {"/v2/rerank": "message", "/v1/rerank": "detail", "/rerank": "error"}[path]
    documents = "texts" if path == "/rerank" else "documents"
    wrong = client.post(path, json={"query": "drill", documents: []})
    assert wrong.status_code == 422
    assert documents in wrong.json()[key]
    assert client.post(path, content=b"{").status_code == 422
    assert client.post(path, content=b"\xff\xfe").status_code == 422
    blank = client.post(path, json={"query": " ", documents: ["a"]})
    assert (blank.status_code, "query" in blank.json()[key]) == (422, True)
    large = client.post(path, json={"query": "drill", documents: ["x" * 3_000_000]})
    assert large.status_code == 413
    if path != "/rerank":
        missing = client.post(path, json=BODY | {"model": "nobody"})
        assert (missing.status_code, "cross" in missing.json()[key]) == (404, True)
    assert client.get(path).status_code == 405
    assert client.post(path + "/x", json=BODY).status_code == 404


@pytest.mark.parametrize("path", ["/v2/rerank", "/v1/rerank", "/rerank"])
@pytest.mark.parametrize("header", ["x-rerank-priority", "x-rerank-strict"])
def test_a_header_that_says_nothing_known_is_named(client, path, header):
    """400 with the header and what it may say; what it may say is taken, and the page has both."""
    texts = {"query": "drill", "documents": TEXTS, "texts": TEXTS}
    page = client.get("/openapi.json").json()["paths"][path]["post"]
    (described,) = (item for item in page["parameters"] if item["name"] == header)
    for word in described["schema"]["enum"]:
        assert client.post(path, json=texts, headers={header: word}).status_code == 200
        assert word in described["description"] or word == "false"
    for wrong in ("urgent", "", "TRUE", "x" * 500):
        refused = client.post(path, json=texts, headers={header: wrong})
        assert refused.status_code == 400
        assert f"{header}: is {wrong[:50]!r}; it may be " in next(iter(refused.json().values()))


@pytest.mark.parametrize("wrong", ["30s", "", "-1", "1e3", "1" * 10])
def test_a_budget_that_is_no_number_is_named(client, wrong):
    """400: the default in its place would be a longer wait than the caller meant, unseen."""
    headers = {"x-envoy-expected-rq-timeout-ms": wrong}
    refused = client.post("/v2/rerank", json=BODY, headers=headers)
    assert refused.status_code == 400
    assert refused.json()["message"] == (
        f"x-envoy-expected-rq-timeout-ms: is {wrong!r}; whole milliseconds are needed"
    )


def test_interactive_work_goes_before_batch_work(cross, tmp_path):
    """Amid a large request a small one comes for batch, then one that is not: that is first."""
    flags = ["--models.reranker", cross, "--workers", 1, "--limits.score-cache-bytes", 0]
    flags += ["--default-budget-ms", 600_000]
    large = BODY | {"documents": [f"{n} {'cordless drill ' * 100}" for n in range(1000)]}
    with (
        running(tmp_path, *flags, http=True) as sidecar,
        ThreadPoolExecutor(2) as callers,
        httpx.Client(base_url=sidecar.url, timeout=PATIENCE_S) as client,
    ):

        def under_way():
            page = client.get("/metrics").text
            return sum(
                float(count)
                for count in re.findall(
                    r"^rerank_(?:waiting|engine)_requests (.+)$", page, re.MULTILINE
                )
            )

        first = callers.submit(client.post, "/v2/rerank", json=large)
        wait_until(lambda: under_way() == 1)
        headers = {"x-rerank-priority": "batch"}
        batch = callers.submit(client.post, "/v2/rerank", json=BODY, headers=headers)
        wait_until(lambda: under_way() == 2)
        interactive = client.post("/v2/rerank", json=BODY)
        assert not batch.done()
        for answer in (interactive, batch.result(), first.result()):
            assert "x-rerank-degraded" not in answer.headers


def test_a_body_without_a_length_is_read_to_its_limit(client):
    """Chunked: refused as soon as it is too much."""

    def parts():
        for _ in range(30):
            yield b"x" * 100_000

    assert client.post("/v2/rerank", content=parts()).status_code == 413


def test_a_short_budget_gives_the_first_stages_order(client):
    """200 and the reason in a header; with x-rerank-strict 504."""
    documents = [f"{n} {'cordless drill ' * 100}" for n in range(800)]
    headers = {"x-envoy-expected-rq-timeout-ms": "30"}
    answer = client.post("/v2/rerank", json={"query": "d", "documents": documents}, headers=headers)
    assert (answer.status_code, answer.headers["x-rerank-degraded"]) == (200, "DEADLINE")
    scored = int(answer.headers["x-rerank-scored"])
    assert scored < 800
    indices = [item["index"] for item in answer.json()["results"]]
    assert sorted(indices) == list(range(800))
    assert indices[scored:] == sorted(indices[scored:])
    headers["x-rerank-strict"] = "true"
    strict = client.post("/v2/rerank", json={"query": "d", "documents": documents}, headers=headers)
    assert strict.status_code == 504


def test_each_call_is_one_line_and_counted(client, sidecar):
    """On both surfaces alike; no text of the caller in either."""
    client.post("/rerank", json={"query": "heimlich", "texts": ["verborgen"]})
    line = sidecar.wait_logged("call", rpc="TEI", status="OK", documents=1)[-1]
    assert (line["surface"], line["status"], line["scored"]) == ("http", "OK", 1)
    assert next(iter(line["stages"])) == "validate"
    page = client.get("/metrics")
    assert page.headers["content-type"].startswith("application/openmetrics-text")
    counted = re.search(
        r'rerank_calls_total\{rpc="TEI",status="OK",surface="http"\} (\d+)', page.text
    )
    assert int(counted[1]) >= 1
    assert 'rerank_numeric_path_fallback{name="cross"' in page.text
    assert "heimlich" not in page.text + sidecar.log_text
    assert "verborgen" not in page.text + sidecar.log_text


def test_operators_are_answered(client):
    """Alive, ready, and a page that names every route."""
    assert client.get("/health").json() == {"status": "ok"}
    assert client.get("/ready").json() == {"status": "ready"}
    page = client.get("/openapi.json").json()
    assert {"/v2/rerank", "/v1/rerank", "/rerank", "/health", "/ready", "/metrics"} <= set(
        page["paths"]
    )


def test_a_client_that_vanishes_ends_its_work(client, sidecar):
    """The call is logged as cancelled while the engine would still be busy with it."""
    address = sidecar.url.removeprefix("http://")
    texts = [f"{n} {'cordless drill ' * 100}" for n in range(100)]
    body = json.dumps({"query": "gone", "texts": texts})
    before = len(sidecar.logged("call", status="CANCELLED"))
    for _ in range(20):
        connection = http.client.HTTPConnection(address)
        connection.request("POST", "/rerank", body, {"content-type": "application/json"})
        connection.close()
    wait_until(lambda: len(sidecar.logged("call", status="CANCELLED")) > before)
    assert client.post("/v2/rerank", json=BODY).headers["x-rerank-scored"] == "5"


def test_slow_senders_and_slow_readers_are_cut_off(client, sidecar):
    """Half a request for longer than --http.request-s; nobody else notices."""
    host, port = sidecar.url.removeprefix("http://").split(":")
    slow = [socket.create_connection((host, int(port))) for _ in range(50)]
    for connection in slow:
        connection.sendall(b"POST /rerank HTTP/1.1\r\nhost: x\r\ncontent-length: 1000\r\n\r\n{")
    assert client.post("/v2/rerank", json=BODY).status_code == 200
    for connection in slow:
        connection.settimeout(PATIENCE_S)
        with suppress(ConnectionResetError):
            assert connection.recv(1) == b""
        connection.close()


def test_half_a_request_behind_a_whole_one_is_cut_off(sidecar):
    """Sent in one piece with the one before, whose answer comes: then it has as long as any."""
    host, port = sidecar.url.removeprefix("http://").split(":")
    body = json.dumps({"query": "drill", "texts": TEXTS}).encode()
    head = b"POST /rerank HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n"
    whole = head % len(body) + body
    for pieces in ([whole + head % 1000 + b"{"], [whole, head % 1000, b"{"], [whole + head[:20]]):
        with socket.create_connection((host, int(port))) as connection:
            connection.settimeout(PATIENCE_S)
            for piece in pieces:
                connection.sendall(piece)
            received = b""
            with suppress(ConnectionResetError):
                while part := connection.recv(65536):
                    received += part
            assert received.startswith(b"HTTP/1.1 200")
            assert received.count(b"HTTP/1.1") == 1


def test_what_is_only_promised_takes_no_room(cross, tmp_path):
    """Ten that declare 900 KB and send a byte, where 2 MB may be under way: others are served."""
    flags = ["--models.reranker", cross, "--default-budget-ms", 60_000]
    flags += ["--limits.max-message-bytes", 1_000_000, "--limits.max-bytes-under-way", 2_000_000]
    head = b"POST /rerank HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n{"
    with running(tmp_path, *flags, http=True) as sidecar, ExitStack() as held:
        host, port = sidecar.url.removeprefix("http://").split(":")
        for _ in range(10):
            connection = held.enter_context(socket.create_connection((host, int(port))))
            connection.sendall(head % 900_000)
        answer = httpx.post(f"{sidecar.url}/v2/rerank", json=BODY)
        assert (answer.status_code, answer.headers["x-rerank-scored"]) == (200, "5")
        # One that says at once that it is too long is told so before it has sent it.
        with socket.create_connection((host, int(port))) as connection:
            connection.settimeout(PATIENCE_S)
            connection.sendall(head % 1_000_001)
            assert connection.recv(12) == b"HTTP/1.1 413"


def test_a_head_without_end_is_cut_off(sidecar):
    """64 KiB of headers at most."""
    host, port = sidecar.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port))) as connection:
        connection.settimeout(PATIENCE_S)
        connection.sendall(b"GET /health HTTP/1.1\r\n" + b"x: " + b"y" * 70_000)
        assert connection.recv(100).startswith(b"HTTP/1.1 400")


def test_not_ready_before_the_models_are_loaded(cross, tmp_path):
    """503 at /ready, 200 at /health, and a rerank answers the first stage at once."""
    with running(tmp_path, "--models.reranker", cross, serving=False, http=True) as sidecar:
        seen = set()
        while 200 not in seen:
            seen.add(httpx.get(f"{sidecar.url}/ready").status_code)
            assert httpx.get(f"{sidecar.url}/health").status_code == 200
            answer = httpx.post(f"{sidecar.url}/v2/rerank", json=BODY, headers=BUDGET)
            assert answer.status_code == 200
            assert len(answer.json()["results"]) == 5
        assert seen <= {200, 503}


def test_a_drain_finishes_what_http_has_begun(cross, tmp_path):
    """Exit 0, and the answer is whole."""
    texts = [f"{n} {'cordless drill ' * 50}" for n in range(1000)]
    flags = ["--models.reranker", cross, "--workers", 1, "--default-budget-ms", 600_000]
    with running(tmp_path, *flags, http=True) as sidecar, ExitStack() as held:
        address = sidecar.url.removeprefix("http://")
        connection = http.client.HTTPConnection(address, timeout=PATIENCE_S)
        held.enter_context(closing(connection))
        body = json.dumps({"query": "drill", "texts": texts})
        connection.request("POST", "/rerank", body, {"content-type": "application/json"})
        wait_until(lambda: "rerank_engine_requests 1.0" in httpx.get(f"{sidecar.url}/metrics").text)
        sidecar.process.terminate()
        sidecar.wait_logged("draining")
        # Whoever comes now, as on a connection that it holds, gets the first stage and leaves.
        late = httpx.post(f"{sidecar.url}/v2/rerank", json=BODY)
        assert late.status_code == 200
        assert late.headers["x-rerank-degraded"] == "MODEL_NOT_READY"
        assert late.headers["connection"] == "close"
        assert [item["index"] for item in late.json()["results"]] == [0, 1, 2, 3, 4]
        strict = httpx.post(
            f"{sidecar.url}/v2/rerank", json=BODY, headers={"x-rerank-strict": "true"}
        )
        assert (strict.status_code, strict.headers["connection"]) == (503, "close")
        answer = connection.getresponse()
        assert answer.status == 200
        assert answer.headers["x-rerank-scored"] == "1000"
        assert len(json.loads(answer.read())) == 1000
        assert sidecar.process.wait(PATIENCE_S) == 0


@contextmanager
def _unread_answer(sidecar, secure=lambda connection: connection):
    """A connection whose answer of 16 MB has begun and is not read; no socket buffers as much."""
    host, port = sidecar.url.removeprefix("http://").split(":")
    texts = [f"{n} {'cordless drill ' * 1070}" for n in range(1000)]
    body = json.dumps({"query": "drill", "documents": texts}).encode()
    head = f"POST /v1/rerank HTTP/1.1\r\nhost: x\r\ncontent-length: {len(body)}\r\n"
    head += "x-envoy-expected-rq-timeout-ms: 1\r\n\r\n"  # the answer is what matters
    with socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        connection.settimeout(PATIENCE_S)
        connection.connect((host, int(port)))
        with secure(connection) as speaking:
            speaking.sendall(head.encode() + body)
            sidecar.wait_logged("call", rpc="Jina", status="OK", documents=1000)
            yield speaking


def test_an_answer_that_nobody_reads_is_under_way(cross, tmp_path):
    """One of 16 MB where a client may have 22: a request of 7 has no room until the reader goes."""
    flags = ["--models.reranker", cross, "--http.request-s", 600]
    flags += ["--limits.max-bytes-under-way", 30_000_000]
    long = {"query": "drill", "documents": ["x" * 50_000] * 150}
    with running(tmp_path, *flags, http=True) as sidecar:
        metrics = f"{sidecar.url}/metrics"
        with _unread_answer(sidecar):
            assert "rerank_calls_under_way 1.0" in httpx.get(metrics).text
            assert httpx.post(f"{sidecar.url}/v2/rerank", json=long).status_code == 429
            assert httpx.post(f"{sidecar.url}/v2/rerank", json=BODY).status_code == 200
        wait_until(lambda: "rerank_calls_under_way 0.0" in httpx.get(metrics).text)
        assert httpx.post(f"{sidecar.url}/v2/rerank", json=long).status_code == 200


def test_a_reader_has_so_long_for_the_whole_answer(cross, tmp_path):
    """It takes a little again and again, and is cut off after --http.request-s all the same."""
    flags = ["--models.reranker", cross, "--http.request-s", 2]
    with running(tmp_path, *flags, http=True) as sidecar, _unread_answer(sidecar) as connection:
        received = 0
        with suppress(ConnectionResetError):
            while part := connection.recv(65536):
                received += len(part)
                time.sleep(0.1)
        assert received < 16_000_000


def test_who_reads_nothing_is_cut_off_over_tls(cross, tmp_path):
    """After --http.request-s, as without."""
    authority = trustme.CA()
    issued = authority.issue_cert("localhost")
    issued.cert_chain_pems[0].write_to_path(tmp_path / "certificate")
    issued.private_key_pem.write_to_path(tmp_path / "key")
    context = ssl.create_default_context()
    authority.configure_trust(context)
    flags = ["--models.reranker", cross, "--http.request-s", 5]
    flags += ["--tls.certificate", tmp_path / "certificate", "--tls.key", tmp_path / "key"]
    with running(tmp_path / "run", *flags, http=True, serving=False) as sidecar:
        sidecar.wait_logged("serving")
        metrics = sidecar.url.replace("http://127.0.0.1", "https://localhost") + "/metrics"

        def nothing_under_way():
            return "calls_under_way 0.0" in httpx.get(metrics, verify=context).text

        def secure(connection):
            return context.wrap_socket(connection, server_hostname="localhost")

        with _unread_answer(sidecar, secure) as connection:
            wait_until(nothing_under_way)
            received = 0
            with suppress(ConnectionResetError, ssl.SSLError):
                while part := connection.recv(65536):
                    received += len(part)
            assert received < 16_000_000


def test_a_drain_waits_for_readers(cross, tmp_path):
    """An answer that is not read when SIGTERM comes arrives whole; exit 0."""
    flags = ["--models.reranker", cross]
    with running(tmp_path, *flags, http=True) as sidecar, _unread_answer(sidecar) as connection:
        sidecar.process.terminate()
        sidecar.wait_logged("draining")
        time.sleep(2)  # where nothing were under way, it would have ended
        answer = http.client.HTTPResponse(connection)
        answer.begin()
        assert len(json.loads(answer.read())["results"]) == 1000
        assert sidecar.process.wait(PATIENCE_S) == 0
        assert sidecar.errors == ""


def test_connections_beyond_the_limit_are_closed(cross, tmp_path):
    """Those within it are served; beyond it probes alone are, one request each."""
    flags = ["--models.reranker", cross, "--http.max-connections", 3]
    with running(tmp_path, *flags, http=True) as sidecar:
        host, port = sidecar.url.removeprefix("http://").split(":")
        held = [socket.create_connection((host, int(port))) for _ in range(3)]
        time.sleep(0.2)
        with socket.create_connection((host, int(port))) as one_more:
            one_more.settimeout(PATIENCE_S)
            with suppress(ConnectionResetError):
                assert one_more.recv(1) == b""
        assert httpx.get(f"{sidecar.url}/health").headers["connection"] == "close"
        assert httpx.get(f"{sidecar.url}/metrics").status_code == 200
        with pytest.raises(httpx.TransportError):
            httpx.post(f"{sidecar.url}/v2/rerank", json=BODY)
        held[0].sendall(b"GET /health HTTP/1.1\r\nhost: x\r\n\r\n")
        assert held[0].recv(12) == b"HTTP/1.1 200"
        for connection in held:
            connection.close()


def test_a_taken_http_port_is_named(cross):
    """Exit 2, one line."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        ended = run("--port", 0, "--http.port", port, "--models.reranker", cross)
    assert ended.returncode == 2
    (line,) = ended.stderr.splitlines()
    assert str(port) in line
