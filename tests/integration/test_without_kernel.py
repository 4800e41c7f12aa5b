"""Tests and a server where the native kernel was not built."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import grpc
import httpx
import pytest

from benchmarks.serving import Build, running
from rerank_proto.rerank.v1 import rerank_pb2 as pb
from rerank_proto.rerank.v1 import rerank_pb2_grpc as pb_grpc
from tests.tiny_models import make_cross_encoder

ROOT = Path(__file__).parents[2]

# An editable install finds the library in the build's folder; the source has none.
_COLLECT = """
import sys
import pytest
import rerank_core.engine
rerank_core.engine.__path__ = [sys.argv[1]]
sys.exit(pytest.main(["--collect-only", "-q", "-p", "no:cacheprovider", *sys.argv[2:]]))
"""


_SERVE = """
import runpy
import sys
import rerank_core.engine
rerank_core.engine.__path__ = [sys.argv.pop(1)]
runpy.run_module("sidecar", run_name="__main__", alter_sys=True)
"""


def collect(*tests: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", _COLLECT, str(ROOT / "rerank_core/engine"), *tests],
        cwd=ROOT,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=False,
    )


def test_without_a_compiler_the_kernel_s_tests_are_left_out_aloud(tmp_path):
    """One line says so; the portable path's tests are collected."""
    done = collect("tests/unit", CXX="", PATH=str(tmp_path))
    assert done.returncode == 0, done.stdout[-4000:]
    assert done.stdout.count("left out, the kernel was not built: no C++") == 1
    assert "tests/unit/test_native_" not in done.stdout
    assert "tests/unit/test_static_int8.py::" in done.stdout


def test_single_tests_that_want_the_kernel_are_left_out_too(tmp_path):
    """Of a test with a case for each path, the other case stays."""
    tests = ("tests/integration/test_engine_memory.py", "tests/e2e/test_sidecar_cache.py")
    done = collect(*tests, CXX="", PATH=str(tmp_path))
    assert "test_memory_is_flat[onnxruntime]" in done.stdout
    assert "[native]" not in done.stdout
    assert "test_a_remembered_answer" not in done.stdout


def test_beside_a_compiler_a_missing_kernel_is_a_fault(tmp_path):
    """Nothing is left out in silence: collecting fails, and the message has the mend."""
    compiler = tmp_path / "c++"
    compiler.touch(mode=0o755)
    done = collect("tests/unit/test_native_path.py", CXX="", PATH=str(tmp_path))
    assert done.returncode == pytest.ExitCode.INTERRUPTED
    assert "the native kernel was not built with this package; install g++" in done.stdout
    assert "left out" not in done.stdout


def test_a_server_without_its_kernel_says_so_in_answers_description_metric_and_log(tmp_path):
    """It serves on the portable path, and nobody has to guess."""
    command = (sys.executable, "-c", _SERVE, str(ROOT / "rerank_core/engine"))
    model = make_cross_encoder(tmp_path / "cross")
    flags = ("--models.reranker", str(model))
    folder = tmp_path / "server"
    with running(folder, *flags, build=Build("no kernel", command), http=True) as sidecar:
        with grpc.insecure_channel(sidecar.target) as channel:
            told = pb_grpc.ModelServiceStub(channel).ModelInfo(pb.ModelInfoRequest(), timeout=60)
            asked = pb.RerankRequest(query="hose", documents=[pb.Document(id="a", text="hose")])
            answer = pb_grpc.RerankServiceStub(channel).Rerank(asked, timeout=60)
        metrics = httpx.get(f"http://{sidecar.http}/metrics").text
    assert (told.path_is_fallback, told.deterministic) == (True, False)
    assert "the native kernel was not built with this package" in told.path_reason
    assert answer.model.numeric_path == "onnxruntime-fp32"
    assert answer.scored == 1
    (line,) = (one for one in metrics.splitlines() if "rerank_numeric_path_fallback{" in one)
    assert line.endswith(" 1.0")
    lines = [json.loads(one) for one in (folder / "log").read_text().splitlines()]
    (loaded,) = (one for one in lines if one["event"] == "model")
    assert (loaded["level"], loaded["fallback"]) == ("warning", True)
