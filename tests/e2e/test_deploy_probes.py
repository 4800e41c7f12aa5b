"""The health checks of the image and of the Kubernetes files, against the real process."""

from __future__ import annotations

import re
import socket
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
import trustme
from ruamel.yaml import YAML

from tests.sidecar_process import running
from tests.tiny_models import make_cross_encoder

DEPLOY = Path(__file__).parents[2] / "deploy"
IN_IMAGE = "/opt/rerank/probe.py"


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """A folder with an authority, a certificate that it gave, its key, and a model."""
    folder = tmp_path_factory.mktemp("probes")
    ca = trustme.CA()
    issued = ca.issue_cert("localhost")
    ca.cert_pem.write_to_path(folder / "ca")
    issued.private_key_pem.write_to_path(folder / "key")
    issued.cert_chain_pems[0].write_to_path(folder / "certificate")
    make_cross_encoder(folder / "cross")
    return folder


def _probe(port, *arguments) -> int:
    """The exit code of the image's health check at another port, with what is added to it."""
    dockerfile = (DEPLOY / "Dockerfile").read_text()
    assert f"COPY deploy/probe.py {IN_IMAGE}\n" in dockerfile
    (command,) = re.findall(r"^HEALTHCHECK .*\\\n +CMD (.+)$", dockerfile, re.MULTILINE)
    program, script, _, path = YAML(typ="safe").load(command)
    assert (program, script) == ("python", IN_IMAGE)
    ended = subprocess.run(
        [sys.executable, DEPLOY / "probe.py", port, path, *arguments],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (ended.stdout, ended.stderr) == ("", "")
    return ended.returncode


def _port(sidecar) -> str:
    return sidecar.url.rpartition(":")[2]


def test_the_images_check_asks_over_http_and_tls(files, tmp_path):
    """As the image is started, and as an owner does who gives it certificates."""
    flags = ["--models.reranker", files / "cross"]
    tls = ["--tls.certificate", files / "certificate", "--tls.key", files / "key"]
    with running(tmp_path / "plain", *flags, http=True) as sidecar:
        assert _probe(_port(sidecar)) == 0
    with running(tmp_path / "tls", *flags, *tls, http=True, serving=False) as sidecar:
        sidecar.wait_logged("serving")
        assert _probe(_port(sidecar)) == 0
        # As the kubelet asks: HTTPS, whatever the certificate.
        with httpx.Client(verify=False) as kubelet:  # noqa: S501  as said
            url = sidecar.url.replace("http:", "https:")
            for path in _probed(DEPLOY / "kubernetes-tls" / "deployment.yaml", "HTTPS"):
                assert kubelet.get(url + path).status_code == 200
        assert "Traceback" not in sidecar.errors


def test_the_images_check_shows_a_certificate_where_one_is_asked_for(files, tmp_path):
    """Without one it is refused, as any caller is."""
    flags = ["--models.reranker", files / "cross", "--tls.client-ca", files / "ca"]
    flags += ["--tls.certificate", files / "certificate", "--tls.key", files / "key"]
    with running(tmp_path / "mtls", *flags, http=True, serving=False) as sidecar:
        sidecar.wait_logged("serving")
        assert _probe(_port(sidecar), files / "certificate", files / "key") == 0
        assert _probe(_port(sidecar)) == 1


def test_the_images_check_fails_where_nobody_answers():
    """Refused, or silent."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
        assert _probe(port) == 1
        free.listen()
        assert _probe(port) == 1


def _probed(path: Path, scheme: str) -> list[str]:
    """What the probes of a deployment get, all of them by this scheme."""
    [container] = YAML(typ="safe").load(path)["spec"]["template"]["spec"]["containers"]
    asked = [container[f"{name}Probe"]["httpGet"] for name in ("startup", "readiness", "liveness")]
    assert {get["scheme"] for get in asked} == {scheme}
    return [get["path"] for get in asked]
