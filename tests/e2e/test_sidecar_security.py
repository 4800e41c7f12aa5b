"""Keys, quotas and certificates against the real process, changed while it serves."""

from __future__ import annotations

import signal
import ssl
from pathlib import Path

import grpc
import httpx
import pytest
import trustme
from google.rpc import error_details_pb2
from grpc_status import rpc_status

from rerank_proto.rerank.v1 import rerank_pb2 as pb
from rerank_proto.rerank.v1 import rerank_pb2_grpc as pb_grpc
from tests.sidecar_process import PATIENCE_S, Sidecar, run, running, wait_until
from tests.tiny_models import make_cross_encoder

REQUEST = pb.RerankRequest(query="drill", documents=[pb.Document(id="a", text="cordless drill")])
BODY = {"query": "drill", "documents": ["cordless drill"]}


@pytest.fixture(scope="module")
def cross(tmp_path_factory):
    return make_cross_encoder(tmp_path_factory.mktemp("security") / "cross")


def make_key(name, facts=""):
    """A key as `--make-key` prints it, and its lines for the file."""
    ended = run("--make-key", name)
    assert (ended.returncode, ended.stderr) == (0, "")
    key, _, lines = ended.stdout.partition("\n\n")
    return key, lines + facts


def rerank(channel, key=None, request=REQUEST):
    metadata = [] if key is None else [("authorization", f"Bearer {key}")]
    stub = pb_grpc.RerankServiceStub(channel)
    return stub.Rerank(request, timeout=PATIENCE_S, metadata=metadata)


def refusal(call, *arguments, **named):
    with pytest.raises(grpc.RpcError) as caught:
        call(*arguments, **named)
    return caught.value


def reload(sidecar: Sidecar, event="reloaded"):
    before = len(sidecar.logged(event))
    sidecar.process.send_signal(signal.SIGHUP)
    return sidecar.wait_logged(event, count=before + 1)[-1]


def test_keys_let_in_and_are_revoked_without_a_restart(cross, tmp_path):
    """Two keys; one is taken out of the file, and from the reload on it is not known."""
    (shop, shop_lines), (other, other_lines) = make_key("shop"), make_key("other")
    keys = tmp_path / "keys.toml"
    keys.write_text(shop_lines + other_lines)
    assert shop not in keys.read_text()
    flags = ["--models.reranker", cross, "--keys-file", keys]
    with (
        running(tmp_path / "run", *flags, http=True) as sidecar,
        grpc.insecure_channel(sidecar.target) as channel,
    ):
        assert rerank(channel, shop).scored == rerank(channel, other).scored == 1
        for wrong in (None, "nonsense", shop + "x"):
            error = refusal(rerank, channel, wrong)
            assert error.code() is grpc.StatusCode.UNAUTHENTICATED
        url = f"{sidecar.url}/v2/rerank"
        headers = {"authorization": f"Bearer {shop}"}
        assert httpx.post(url, json=BODY, headers=headers).status_code == 200
        refused = httpx.post(url, json=BODY)
        assert (refused.status_code, refused.headers["www-authenticate"]) == (401, "Bearer")
        assert httpx.get(f"{sidecar.url}/ready").status_code == 200
        keys.write_text(other_lines)
        reload(sidecar)
        assert refusal(rerank, channel, shop).code() is grpc.StatusCode.UNAUTHENTICATED
        assert httpx.post(url, json=BODY, headers=headers).status_code == 401
        assert rerank(channel, other).scored == 1
        sidecar.wait_logged("call", status="OK", client="other")
        assert {line["client"] for line in sidecar.logged("call", status="OK")} == {"shop", "other"}
        assert shop not in sidecar.log_text


def test_a_client_over_its_quota_is_told_when_to_come_back(cross, tmp_path):
    """RESOURCE_EXHAUSTED with pushback, QuotaFailure and RetryInfo; 429 with Retry-After."""
    key, lines = make_key("small", "tokens_per_s = 1\nburst_tokens = 2\n")
    free, free_lines = make_key("free")
    keys = tmp_path / "keys.toml"
    keys.write_text(lines + free_lines)
    flags = ["--models.reranker", cross, "--keys-file", keys, "--limits.score-cache-bytes", 0]
    with (
        running(tmp_path / "run", *flags, http=True) as sidecar,
        grpc.insecure_channel(sidecar.target) as channel,
    ):
        assert rerank(channel, key).scored == 1
        error = refusal(rerank, channel, key)
        assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        trailers = dict(error.trailing_metadata())
        details = {
            type(detail): detail
            for packed in rpc_status.from_call(error).details
            for detail in (error_details_pb2.RetryInfo(), error_details_pb2.QuotaFailure())
            if packed.Unpack(detail)
        }
        delay_ms = details[error_details_pb2.RetryInfo].retry_delay.ToMilliseconds()
        assert int(trailers["grpc-retry-pushback-ms"]) == delay_ms > 0
        assert "small" in details[error_details_pb2.QuotaFailure].violations[0].description
        headers = {"authorization": f"Bearer {key}"}
        answer = httpx.post(f"{sidecar.url}/v2/rerank", json=BODY, headers=headers)
        assert (answer.status_code, int(answer.headers["retry-after"]) >= 1) == (429, True)
        assert rerank(channel, free).scored == 1


def test_only_an_admin_may_reload(cross, tmp_path):
    """By key; without keys, from the machine itself."""
    (plain, plain_lines), (admin, admin_lines) = make_key("a"), make_key("b", "admin = true\n")
    keys = tmp_path / "keys.toml"
    keys.write_text(plain_lines + admin_lines)
    flags = ["--models.reranker", cross, "--keys-file", keys]
    with (
        running(tmp_path / "run", *flags) as sidecar,
        grpc.insecure_channel(sidecar.target) as channel,
    ):
        stub = pb_grpc.AdminServiceStub(channel)

        def call(key):
            metadata = [("authorization", f"Bearer {key}")]
            return stub.Reload(pb.ReloadRequest(), timeout=PATIENCE_S, metadata=metadata)

        assert refusal(call, plain).code() is grpc.StatusCode.PERMISSION_DENIED
        answer = call(admin)
        assert (list(answer.changed), answer.models[0].id) == ([], "cross")
        keys.write_text("[keys.x]\nsha256 = 'short'\n")
        error = refusal(call, admin)
        assert error.code() is grpc.StatusCode.FAILED_PRECONDITION
        assert "keys.x.sha256" in error.details()
        assert rerank(channel, plain).scored == 1


class Files:
    """A certificate of one authority, as files in a folder."""

    def __init__(self, folder: Path, ca: trustme.CA, name: str = "localhost") -> None:
        self.certificate, self.key, self.ca = folder / "cert.pem", folder / "key.pem", folder / "ca"
        issued = ca.issue_cert(name, "127.0.0.1")
        issued.private_key_pem.write_to_path(self.key)
        self.certificate.write_bytes(b"".join(part.bytes() for part in issued.cert_chain_pems))
        ca.cert_pem.write_to_path(self.ca)


def _secure(sidecar, ca, client=None):
    identity = (None, None)
    if client is not None:
        identity = (
            client.private_key_pem.bytes(),
            b"".join(part.bytes() for part in client.cert_chain_pems),
        )
    credentials = grpc.ssl_channel_credentials(ca.cert_pem.bytes(), *identity)
    return grpc.secure_channel(sidecar.target.replace("127.0.0.1", "localhost"), credentials)


def _https(sidecar, ca, client=None):
    context = ssl.create_default_context()
    ca.configure_trust(context)
    if client is not None:
        client.configure_cert(context)
    url = sidecar.url.replace("http://127.0.0.1", "https://localhost")
    return httpx.post(f"{url}/v2/rerank", json=BODY, verify=context)


def test_certificates_change_while_serving(cross, tmp_path):
    """New connections on both surfaces see the new authority alone, after one SIGHUP."""
    old, new = trustme.CA(), trustme.CA()
    files = Files(tmp_path, old)
    flags = ["--models.reranker", cross, "--tls.certificate", files.certificate]
    flags += ["--tls.key", files.key, "--host", "127.0.0.1"]
    with running(tmp_path / "run", *flags, http=True, serving=False) as sidecar:
        sidecar.wait_logged("serving")
        with _secure(sidecar, old) as open_channel:
            assert rerank(open_channel).scored == 1
            assert _https(sidecar, old).status_code == 200
            Files(tmp_path, new)
            reload(sidecar)
            assert rerank(open_channel).scored == 1
        with _secure(sidecar, new) as channel:
            assert rerank(channel).scored == 1
        with _secure(sidecar, old) as channel:
            assert refusal(rerank, channel).code() is grpc.StatusCode.UNAVAILABLE
        assert _https(sidecar, new).status_code == 200
        with pytest.raises(httpx.ConnectError):
            _https(sidecar, old)
        files.key.write_text("no key")
        refused = reload(sidecar, event="reload refused")
        assert "tls" in refused["error"]
        with _secure(sidecar, new) as channel:
            assert rerank(channel).scored == 1


def test_callers_show_a_certificate_where_that_is_asked(cross, tmp_path):
    """With mTLS, on both surfaces; a certificate of another authority is none."""
    ca, stranger = trustme.CA(), trustme.CA()
    files = Files(tmp_path, ca)
    flags = ["--models.reranker", cross, "--tls.certificate", files.certificate]
    flags += ["--tls.key", files.key, "--tls.client-ca", files.ca]
    known, unknown = ca.issue_cert("shop"), stranger.issue_cert("shop")
    with running(tmp_path / "run", *flags, http=True, serving=False) as sidecar:
        sidecar.wait_logged("serving")
        with _secure(sidecar, ca, known) as channel:
            assert rerank(channel).scored == 1
        assert _https(sidecar, ca, known).status_code == 200
        for client in (None, unknown):
            with _secure(sidecar, ca, client) as channel:
                assert refusal(rerank, channel).code() is grpc.StatusCode.UNAVAILABLE
            with pytest.raises(httpx.TransportError):
                _https(sidecar, ca, client)


def test_limits_change_while_serving_and_addresses_do_not(cross, tmp_path):
    """What needs a restart is refused by name, and nothing else changes either."""
    config = tmp_path / "sidecar.toml"
    settings = f'[models]\nreranker = "{cross}"\n'
    config.write_text(settings)
    two = pb.RerankRequest(
        query="drill", documents=[pb.Document(id=str(n), text="drill") for n in range(2)]
    )
    with (
        running(tmp_path / "run", "--config", config) as sidecar,
        grpc.insecure_channel(sidecar.target) as channel,
    ):
        assert rerank(channel, request=two).scored == 2
        config.write_text(settings + "[limits]\nmax_documents = 1\n")
        assert reload(sidecar)["changed"] == ["limits"]
        error = refusal(rerank, channel, request=two)
        assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
        # gRPC itself was told the limit at the start; more of it needs another start.
        config.write_text(settings + "[limits]\nmax_message_bytes = 2000\n")
        assert reload(sidecar)["changed"] == ["limits"]
        long = pb.RerankRequest(query="drill", documents=[pb.Document(id="a", text="x" * 2000)])
        assert "2000 bytes allowed" in refusal(rerank, channel, request=long).details()
        config.write_text(settings + "[limits]\nmax_message_bytes = 100_000_000\n")
        assert "limits.max_message_bytes" in reload(sidecar, event="reload refused")["error"]
        config.write_text(settings + "[limits]\nmax_documents = 1\n")
        assert reload(sidecar)["changed"] == ["limits"]
        config.write_text("workers = 3\n" + settings)
        assert "workers" in reload(sidecar, event="reload refused")["error"]
        config.write_text("no toml")
        assert "not TOML" in reload(sidecar, event="reload refused")["error"]
        assert rerank(channel).scored == 1
        wait_until(lambda: refusal(rerank, channel, request=two) is not None)
        assert sidecar.errors == ""


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        ("keys = 3", "keys"),
        ("[keys.a]\nsha256 = 'zz'", "keys.a.sha256"),
        (f"[keys.a]\nsha256 = '{'0' * 64}'\nrate = 3", "keys.a.rate"),
        (f"[keys.a]\nsha256 = '{'0' * 64}'\n[keys.b]\nsha256 = '{'0' * 64}'", "same key"),
        ("[", "not TOML"),
    ],
)
def test_a_faulty_keys_file_ends_the_start(cross, tmp_path, content, fault):
    """Exit 2, one line that names the fault."""
    keys = tmp_path / "keys.toml"
    keys.write_text(content)
    ended = run("--port", 0, "--models.reranker", cross, "--keys-file", keys)
    assert ended.returncode == 2
    (line,) = ended.stderr.splitlines()
    assert fault in line
