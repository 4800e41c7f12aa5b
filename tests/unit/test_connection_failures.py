"""Every way in which the cluster's client can fail comes out as one of our errors."""

from __future__ import annotations

import inspect
import json
import socket
import ssl
import subprocess
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import aiohttp
import opensearchpy
import opensearchpy.exceptions
import pytest
import urllib3.exceptions

from rerank_core.cluster.connection import connect, connect_async
from rerank_core.cluster.failures import cluster_errors
from rerank_core.cluster.settings import ClusterSettings
from rerank_core.errors import (
    ClusterRefused,
    ClusterTimeout,
    ClusterUnavailable,
    ConfigError,
    RerankError,
)

# The query builder of the client is not used here: its errors are mistakes in code.
_NOT_OF_A_CLUSTER = {"OpenSearchDslException", "UnknownDslObject", "ValidationException"}
_NOT_OF_A_CLUSTER |= {"IllegalOperation"}
# Never raised as such.
_ROOTS = {"OpenSearchException"}


def _fail_with(error):
    with cluster_errors("trying"):
        raise error


def _client_exceptions():
    for name, kind in inspect.getmembers(opensearchpy.exceptions, inspect.isclass):
        if issubclass(kind, Exception) and not issubclass(kind, Warning):
            yield name, kind


def test_every_exception_of_the_client_is_mapped():
    """A client that grows a new class of error fails here and not in production."""
    left_through = set()
    for name, kind in _client_exceptions():
        error = kind("reason") if "Serial" in name else kind(400, "reason", None)
        try:
            _fail_with(error)
        except RerankError as ours:
            assert str(ours).startswith("trying: ")  # noqa: PT017 - each of many, in a loop
        except Exception:  # noqa: BLE001 - what is left through is the question
            left_through.add(name)
    assert left_through == _NOT_OF_A_CLUSTER | _ROOTS


def test_settings_that_the_client_refuses_are_a_set_up_error():
    """They are their owner's to mend, so no retry helps."""
    with pytest.raises(ConfigError, match="connecting: bad"), cluster_errors("connecting"):
        raise opensearchpy.ImproperlyConfigured("bad")


@pytest.mark.parametrize(
    "leaked",
    [aiohttp.ServerDisconnectedError(), urllib3.exceptions.ProtocolError("cut"), ConnectionError()],
)
def test_what_leaks_from_below_the_client_is_unavailable(leaked):
    """The HTTP libraries' own exceptions do not pass."""
    with pytest.raises(ClusterUnavailable, match="asking"), cluster_errors("asking"):
        raise leaked


def test_a_connection_that_is_not_made_in_time_is_a_timeout():
    """The client calls it a plain connection error and keeps the timeout inside."""
    inner = urllib3.exceptions.ConnectTimeoutError(None, "slow")
    with pytest.raises(ClusterTimeout), cluster_errors("asking"):
        raise opensearchpy.ConnectionError("N/A", "slow", inner)


def test_our_own_and_foreign_errors_go_through():
    """A mistake in calling code is not dressed up as the cluster's."""
    with pytest.raises(KeyError), cluster_errors("asking"):
        raise KeyError("mine")
    with pytest.raises(FileNotFoundError), cluster_errors("asking"):
        raise FileNotFoundError
    with pytest.raises(ClusterRefused, match=r"^inner$"), cluster_errors("asking"):
        raise ClusterRefused("inner", 400)


class _Answering(BaseHTTPRequestHandler):
    """Answers with the status in the path and with the server's body."""

    def do_GET(self):
        kind = self.server.content_type
        body = self.server.body
        self.send_response(int(self.path.strip("/").split("/")[0]))
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        """Keeps the test's output clean."""


@pytest.fixture
def answering():
    with ThreadingHTTPServer(("127.0.0.1", 0), _Answering) as server:
        server.content_type = "application/json"
        server.body = json.dumps(
            {"error": {"root_cause": [{"type": "t", "reason": "no such\nindex"}], "type": "t"}},
        ).encode()
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


async def _ask(settings, path, use_async):
    if use_async:
        async with connect_async(settings) as client:
            with cluster_errors("asking"):
                return await client.transport.perform_request("GET", path)
    with connect(settings) as client, cluster_errors("asking"):
        return client.transport.perform_request("GET", path)


def _settings(server, **kwargs):
    return ClusterSettings(f"http://127.0.0.1:{server.server_address[1]}", **kwargs)


@pytest.mark.parametrize("use_async", [False, True])
@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (400, ClusterRefused),
        (401, ClusterRefused),
        (403, ClusterRefused),
        (404, ClusterRefused),
        (408, ClusterTimeout),
        (409, ClusterRefused),
        (413, ClusterRefused),
        (429, ClusterUnavailable),
        (500, ClusterRefused),
        (502, ClusterUnavailable),
        (503, ClusterUnavailable),
        (504, ClusterTimeout),
    ],
)
async def test_a_status_is_one_error_for_both_clients(answering, use_async, status, expected):
    """The error names what was being done, the status and the cluster's own reason."""
    with pytest.raises(expected) as caught:
        await _ask(_settings(answering), f"/{status}", use_async)
    assert type(caught.value) is expected
    assert f"asking: the cluster answers {status}: no such index" in str(caught.value)
    if expected is ClusterRefused:
        assert caught.value.status == status


@pytest.mark.parametrize("use_async", [False, True])
async def test_a_long_reason_is_cut(answering, use_async):
    """A message stays a line that a log can bear."""
    answering.body = json.dumps({"error": {"reason": "x" * 10_000}}).encode()
    with pytest.raises(ClusterRefused) as caught:
        await _ask(_settings(answering), "/400", use_async)
    assert "x" * 299 + "…" in str(caught.value)
    assert len(str(caught.value)) < 400


@pytest.mark.parametrize("use_async", [False, True])
@pytest.mark.parametrize("body", [b"", b'{"error": "plain"}', b'{"error": {}}', b"{"])
async def test_an_odd_error_body_is_still_refused_with_its_status(answering, use_async, body):
    """Proxies answer with what they like."""
    answering.body = body
    with pytest.raises(ClusterRefused) as caught:
        await _ask(_settings(answering), "/404", use_async)
    assert caught.value.status == 404


@pytest.mark.parametrize("use_async", [False, True])
@pytest.mark.parametrize(
    ("content_type", "body"),
    [("text/html", b"<html>"), ("application/json", b"<html>")],
)
async def test_an_answer_that_is_not_json_is_no_cluster(answering, use_async, content_type, body):
    """A web page at the url is named as such."""
    answering.content_type, answering.body = content_type, body
    with pytest.raises(ClusterUnavailable, match="not a cluster's JSON"):
        await _ask(_settings(answering), "/200", use_async)


@pytest.mark.parametrize("use_async", [False, True])
@pytest.mark.parametrize("body", [b"[]", b'"busy"'])
async def test_an_error_body_that_is_no_object_is_an_error_of_ours(answering, use_async, body):
    """The client fails over it; what answers so is no cluster."""
    answering.body = body
    with pytest.raises(ClusterUnavailable, match="not a cluster's JSON"):
        await _ask(_settings(answering), "/404", use_async)


def test_a_mistake_in_our_own_code_goes_through():
    """It is no answer of the cluster's."""
    with pytest.raises(AttributeError), cluster_errors("asking"):
        None.hits  # noqa: B018


@pytest.mark.parametrize("use_async", [False, True])
async def test_a_closed_port_is_unavailable(use_async):
    """Nobody listens, which is known at once."""
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))  # bound and not listening: refused, and nobody else's
        settings = ClusterSettings(f"http://127.0.0.1:{holder.getsockname()[1]}")
        with pytest.raises(ClusterUnavailable, match="cannot be reached"):
            await _ask(settings, "/", use_async)


@pytest.mark.parametrize("use_async", [False, True])
async def test_silence_is_a_timeout(use_async):
    """A server that accepts and says nothing ends the request at timeout_s."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        with pytest.raises(ClusterTimeout, match="in time"):
            await _ask(ClusterSettings(url, timeout_s=0.2), "/", use_async)


@pytest.mark.parametrize("use_async", [False, True])
async def test_a_connection_that_breaks_off_is_unavailable_and_tried_once(use_async):
    """No retry is hidden in the client: one call is one connection."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        accepted = 0

        def hang_up():
            nonlocal accepted
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                accepted += 1
                connection.recv(65_536)
                connection.close()

        thread = threading.Thread(target=hang_up)
        thread.start()
        url = f"http://127.0.0.1:{server.getsockname()[1]}"
        with pytest.raises(ClusterUnavailable):
            await _ask(ClusterSettings(url), "/", use_async)
        server.shutdown(socket.SHUT_RDWR)
        thread.join()
    assert accepted == 1


@pytest.mark.parametrize("use_async", [False, True])
async def test_credentials_arrive_as_utf8(use_async):
    """A password may hold any letter."""
    heard = []

    class Listening(_Answering):
        def do_GET(self):
            heard.append(self.headers["authorization"])
            super().do_GET()

    with ThreadingHTTPServer(("127.0.0.1", 0), Listening) as server:
        server.content_type, server.body = "application/json", b"{}"
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            made_up = {"user": "shop", "password": "grün€"}
            await _ask(_settings(server, **made_up), "/200", use_async)
        finally:
            server.shutdown()
            thread.join()
    # base64 of the UTF-8 bytes of "shop:grün€"
    assert heard == ["Basic c2hvcDpncsO8buKCrA=="]


def test_a_body_that_is_no_json_is_the_callers_mistake():
    """It is not dressed up as a cluster that is away."""
    with (
        connect(ClusterSettings("http://127.0.0.1:1")) as client,
        pytest.raises(opensearchpy.SerializationError),
        cluster_errors("asking"),
    ):
        client.search(body={"query": object()})


@pytest.fixture
def secure(answering, tmp_path):
    """A server for TLS with a certificate that it signed itself, and that certificate."""
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"),
            *("-nodes", "-days", "1", "-subj", "/CN=here"),
            *("-addext", "subjectAltName=IP:127.0.0.1"),
            *("-keyout", str(key), "-out", str(certificate)),
        ],
        check=True,
        capture_output=True,
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    answering.socket = context.wrap_socket(answering.socket, server_side=True)
    answering.body = b"{}"
    # What a failed handshake says is for the client to hear.
    answering.handle_error = lambda *_: None
    return f"https://127.0.0.1:{answering.server_address[1]}", certificate


@pytest.mark.parametrize("use_async", [False, True])
async def test_a_certificate_that_nobody_vouches_for_is_refused(secure, use_async):
    """The message leads to the setting."""
    with pytest.raises(ClusterUnavailable, match="check the CA"):
        await _ask(ClusterSettings(secure[0]), "/200", use_async)


@pytest.mark.parametrize("use_async", [False, True])
async def test_the_ca_that_is_named_is_trusted(secure, use_async):
    """The same server answers."""
    url, certificate = secure
    assert await _ask(ClusterSettings(url, ca_path=certificate), "/200", use_async) == {}
