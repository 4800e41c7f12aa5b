"""The life of the process: start, faults at the start, stop under load, no leftovers."""

from __future__ import annotations

import json
import shutil
import signal
import socket
import subprocess
import threading
import time
from pathlib import Path

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from rerank_core.artifact import seal_artifact
from rerank_core.text import ProductTextRecipe
from rerank_proto.rerank.v1 import rerank_pb2 as pb
from rerank_proto.rerank.v1 import rerank_pb2_grpc as pb_grpc
from tests.sidecar_process import PATIENCE_S, run, running, wait_until
from tests.tiny_models import make_bi_encoder, make_cross_encoder

LONG = "cordless drill with a very long text " * 50
BIG = pb.RerankRequest(
    query="drill", documents=[pb.Document(id=str(n), text=f"{n} {LONG}") for n in range(1000)]
)
SMALL = pb.RerankRequest(
    query="drill", documents=[pb.Document(id=str(n), text=f"drill {n}") for n in range(50)]
)
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING


@pytest.fixture(scope="module")
def cross(tmp_path_factory):
    return make_cross_encoder(tmp_path_factory.mktemp("lifecycle") / "cross")


@pytest.fixture
def patient(cross):
    """Flags of a server that neither deadline nor grace ends early."""
    return ["--models.reranker", cross, "--workers", 1, "--default-budget-ms", 600_000]


def _one_line_on_stderr(ended: subprocess.CompletedProcess[str]) -> str:
    assert ended.returncode == 2
    (line,) = ended.stderr.splitlines()
    assert line.startswith("sidecar: ")
    return line


def test_check_config_prints_the_effective_settings(cross, tmp_path):
    """On stdout, as JSON, without secrets; nothing is bound, no cluster is asked."""
    config = tmp_path / "sidecar.toml"
    config.write_text(
        f'[models]\nreranker = "{cross}"\n'
        '[cluster]\nurl = "http://127.0.0.1:9"\nuser = "shop"\npassword = "hush"\n'
    )
    ended = run("--config", config, "--port", 7, "--check-config")
    assert (ended.returncode, ended.stderr) == (0, "")
    shown = json.loads(ended.stdout)
    assert (shown["port"], shown["models"]["reranker"]) == (7, str(cross))
    assert "hush" not in ended.stdout


def test_check_config_fails_on_a_fault():
    """As a start would: exit 2, one line."""
    ended = run("--check-config", "--host", "0.0.0.0")  # noqa: S104  refused, that is the point
    assert "--insecure" in _one_line_on_stderr(ended)
    assert ended.stdout == ""


def test_check_config_reads_what_a_start_reads(cross, tmp_path):
    """Keys, certificates, models: what would end the start ends the check, in the same words."""
    torn = tmp_path / "torn"
    shutil.copytree(cross, torn)
    seal_artifact(torn, name="torn", kind="cross-encoder", recipe=ProductTextRecipe(("title",)))
    with (torn / "model.safetensors").open("ab") as weights:
        weights.write(b"more")
    (tmp_path / "keys").write_text("keys = 3")
    model = ("--models.reranker", cross)
    for flags, fault in (
        (["--models.reranker", tmp_path / "absent"], "absent: no such folder"),
        (["--models.reranker", torn], "sha256 is not the manifest's"),
        ([*model, "--models.encoders", cross], "two are named 'cross'"),
        ([*model, "--models.other-rerankers", cross], "two are named 'cross'"),
        ([*model, "--models.other-rerankers", torn], "sha256 is not the manifest's"),
        (["--models.reranker", make_bi_encoder(tmp_path / "bi")], "is a bi-encoder"),
        ([*model, "--keys-file", tmp_path / "keys"], "keys_file"),
        ([*model, "--tls.certificate", "none", "--tls.key", "none"], "tls"),
    ):
        ended = run("--check-config", *flags)
        assert fault in _one_line_on_stderr(ended)
        assert ended.stdout == ""


def test_a_wrong_flag_is_told_with_the_usage():
    """Exit 2."""
    ended = run("--prot", 1)
    assert ended.returncode == 2
    assert "unrecognized arguments: --prot" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_a_folder_that_is_no_model_is_named(tmp_path):
    """Exit 2 after one line, with no trace of a trace."""
    empty = tmp_path / "empty"
    empty.mkdir()
    assert "absent: no such folder" in _one_line_on_stderr(
        run("--port", 0, "--models.reranker", tmp_path / "absent")
    )
    assert "config.json" in _one_line_on_stderr(run("--port", 0, "--models.reranker", empty))


def test_a_model_of_the_wrong_kind_is_refused(cross, tmp_path):
    """A bi-encoder cannot rerank, nor a cross-encoder embed."""
    bi = make_bi_encoder(tmp_path / "bi")
    assert "is a bi-encoder" in _one_line_on_stderr(run("--port", 0, "--models.reranker", bi))
    flags = ["--models.reranker", cross, "--models.encoders", cross.with_name("other")]
    make_cross_encoder(cross.with_name("other"))
    assert "is a cross-encoder" in _one_line_on_stderr(run("--port", 0, *flags))


def test_two_models_of_one_name_are_refused(cross):
    """A name must say which one."""
    ended = run("--port", 0, "--models.reranker", cross, "--models.encoders", cross)
    assert "two are named 'cross'" in _one_line_on_stderr(ended)


def test_a_port_in_use_is_refused(cross):
    """Not shared: a second server would take half of the calls of the first."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        ended = run("--port", port, "--models.reranker", cross)
    assert str(port) in _one_line_on_stderr(ended)


def test_two_sidecars_do_not_share_a_port(cross, tmp_path):
    """GRPC would let them, unless told."""
    with running(tmp_path, "--models.reranker", cross) as first:
        port = first.target.rpartition(":")[2]
        assert port in _one_line_on_stderr(run("--port", port, "--models.reranker", cross))
        assert first.alive()


def test_a_port_file_that_cannot_be_written_is_named(cross, tmp_path):
    """Whoever waits for it would wait for ever."""
    path = tmp_path / "absent" / "port"
    ended = run("--port", 0, "--port-file", path, "--models.reranker", cross)
    assert str(path) in _one_line_on_stderr(ended)


def test_ipv6_loopback(cross, tmp_path):
    """The address is put in brackets where gRPC needs it."""
    with running(tmp_path, "--models.reranker", cross, "--host", "::1", serving=False) as sidecar:
        port = sidecar.target.rpartition(":")[2]
        with grpc.insecure_channel(f"[::1]:{port}") as channel:
            stub = pb_grpc.RerankServiceStub(channel)
            answer = stub.Rerank(SMALL, timeout=PATIENCE_S, wait_for_ready=True)
        assert len(answer.documents) == 50


def test_a_stop_under_load_loses_no_accepted_request(patient, tmp_path):
    """Each call is answered whole or was never taken up; exit 0; no port file left."""
    answered, refused = [], []
    with running(tmp_path, *patient) as sidecar:

        def load():
            with grpc.insecure_channel(sidecar.target) as channel:
                stub = pb_grpc.RerankServiceStub(channel)
                while True:
                    try:
                        answered.append(stub.Rerank(SMALL, timeout=PATIENCE_S))
                    except grpc.RpcError as error:
                        refused.append(error.code())
                        return

        threads = [threading.Thread(target=load) for _ in range(8)]
        for thread in threads:
            thread.start()
        wait_until(lambda: len(answered) >= 40, sidecar.alive)
        assert sidecar.stop() == 0
        for thread in threads:
            thread.join(PATIENCE_S)
        # CANCELLED is gRPC's word for what had arrived and was taken up by nobody.
        assert len(refused) == 8
        assert set(refused) <= {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED}
        assert all((answer.scored, len(answer.degraded)) == (50, 0) for answer in answered)
        # What the server took up is what the callers have in hand.
        statuses = [line["status"] for line in sidecar.logged("call")]
        assert statuses.count("OK") == len(answered)
        assert set(statuses) <= {"OK", "UNAVAILABLE"}
        assert sidecar.logged("stopped")
        assert sidecar.errors == ""
        assert not Path(tmp_path / "port").exists()


def test_a_drain_finishes_long_work_and_tells_health(patient, tmp_path):
    """Watchers hear NOT_SERVING and do not hold the drain up; what was accepted is answered."""
    flags = [*patient, "--grace-s", 600]
    with running(tmp_path, *flags) as sidecar, grpc.insecure_channel(sidecar.target) as channel:
        health = health_pb2_grpc.HealthStub(channel)
        watch = health.Watch(health_pb2.HealthCheckRequest(), timeout=PATIENCE_S)
        assert next(watch).status == health_pb2.HealthCheckResponse.SERVING
        stub = pb_grpc.RerankServiceStub(channel)
        call = stub.Rerank.future(BIG)
        stub.Rerank(SMALL)  # sent after the big one, so that one was accepted
        sidecar.process.send_signal(signal.SIGINT)
        assert {said.status for said in watch} == {NOT_SERVING}
        assert call.result(PATIENCE_S).scored == 1000
        assert sidecar.process.wait(PATIENCE_S) == 0
        assert sidecar.errors == ""


def test_the_grace_period_ends_a_drain(patient, tmp_path):
    """Calls that outlast it are ended, and the process with them: exit 0."""
    with (
        running(tmp_path, *patient, "--grace-s", 0) as sidecar,
        grpc.insecure_channel(sidecar.target) as channel,
    ):
        stub = pb_grpc.RerankServiceStub(channel)
        calls = [stub.Rerank.future(BIG) for _ in range(8)]
        stub.Rerank(SMALL)
        assert sidecar.stop() == 0
        codes = {call.exception(PATIENCE_S).code() for call in calls if call.exception(PATIENCE_S)}
        assert codes
        assert codes <= {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED}


def test_a_second_signal_ends_at_once(patient, tmp_path):
    """Whatever is still in flight."""
    with (
        running(tmp_path, *patient, "--grace-s", 600) as sidecar,
        grpc.insecure_channel(sidecar.target) as channel,
    ):
        stub = pb_grpc.RerankServiceStub(channel)
        calls = [stub.Rerank.future(BIG) for _ in range(12)]
        stub.Rerank(SMALL)
        sidecar.process.terminate()
        sidecar.wait_logged("draining")
        sidecar.process.terminate()
        assert sidecar.process.wait(PATIENCE_S) == -signal.SIGTERM
        assert any(call.exception(PATIENCE_S) for call in calls)


def test_a_stop_while_models_load(cross, tmp_path):
    """Exit 0, without a word on stderr: nothing has gone wrong."""
    with running(tmp_path, "--models.reranker", cross, serving=False) as sidecar:
        assert sidecar.stop() == 0
        assert sidecar.errors == ""


def test_no_process_is_left(cross, tmp_path):
    """It never had a child, and its port is free again."""
    with running(tmp_path, "--models.reranker", cross) as sidecar:
        children = Path(f"/proc/{sidecar.process.pid}/task/{sidecar.process.pid}/children")
        assert children.read_text() == ""
        assert sidecar.stop() == 0
        host, port = sidecar.target.split(":")
    with socket.socket() as again:
        again.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        again.bind((host, int(port)))


@pytest.mark.long
def test_stops_under_load_again_and_again(patient, tmp_path):
    """The moment of the signal is another each time."""
    for turn in range(20):
        test_a_stop_under_load_loses_no_accepted_request(patient, tmp_path / str(turn))
        time.sleep(turn / 100)
