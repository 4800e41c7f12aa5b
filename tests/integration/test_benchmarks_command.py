"""`python -m benchmarks engine` as a program: a tiny run, wrong calls, Ctrl-C."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time

import pytest

from benchmarks.results import read_result
from tests.tiny_models import make_cross_encoder


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    """A BEIR folder of two queries and six products."""
    folder = tmp_path_factory.mktemp("data") / "shop"
    folder.mkdir()
    rows = [{"_id": f"p{i}", "title": f"hammer {i}", "text": "steel " * i} for i in range(6)]
    (folder / "corpus.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (folder / "queries.jsonl").write_text(
        '{"_id": "q1", "text": "hammer"}\n{"_id": "q2", "text": "saw"}\n'
    )
    return folder


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A small cross-encoder."""
    return make_cross_encoder(tmp_path_factory.mktemp("model") / "tiny")


def environment(temporary):
    """This one without data, and with a temporary folder of the test's own."""
    kept = {name: value for name, value in os.environ.items() if name != "RERANK_DATA"}
    return kept | {"TMPDIR": str(temporary), "HF_HUB_OFFLINE": "1"}


def command(*words):
    return [sys.executable, "-m", "benchmarks", "engine", *map(str, words)]


def run(temporary, *words):
    """Runs the command to its end."""
    return subprocess.run(
        command(*words),
        capture_output=True,
        text=True,
        env=environment(temporary),
        timeout=240,
        check=False,
    )


@pytest.mark.kernel
def test_a_tiny_run_end_to_end(shop, model, tmp_path):
    """Tables, a result file that is read back, one line of JSON last, no file left behind."""
    out, temporary = tmp_path / "out.json", tmp_path / "tmp"
    temporary.mkdir()
    sections = ("forward", "sets", "tokenising", "threads", "layers", "profile", "cost")
    chosen = [word for section in sections for word in ("--section", section)]
    numbers = ("--rounds", "2", "--candidates", "5")
    done = run(temporary, shop, "--model", model, *numbers, *chosen, "--out", out)
    assert done.returncode == 0, done.stderr
    summary = json.loads(done.stdout.splitlines()[-1])
    result = read_result(out)
    assert set(summary) >= {f"{trial.title}, {trial.workload}" for trial in result.trials}
    titles = {trial.title for trial in result.trials}
    assert titles >= {"forward", "native on avx2", "tokenising", "threads", "layers"}
    peaks = {one.name for trial in result.trials for one in trial.peaks}
    assert peaks >= {"fp32 GEMM", "avx2 int8", "avx2-int16 products"}
    forward = result.trials[0]
    assert (forward.texts, len(forward.tokens)) == (5, 2)
    assert {"R", "onnxruntime"} <= {series.name for series in forward.series}
    assert all(len(series.milliseconds) == 2 for series in forward.series)
    assert {(one.workload, one.load) for one in result.foretold} == {
        ("W1", "idle"), ("W1", "loaded"), ("W2", "idle"), ("W2", "loaded"),
    }  # fmt: skip
    for foretold in result.foretold:
        assert len(foretold.expected_ms) == len(foretold.taken_ms) == 30
        assert min(foretold.expected_ms + foretold.taken_ms) > 0
    assert {"R, operators", "onnxruntime, operators"} <= {one.name for one in result.profiles}
    kernel = next(one for one in result.profiles if one.name == "native, kernel")
    assert {"attention", "ffn-in", "head"} < kernel.shares.keys()
    assert kernel.microseconds_a_token
    for profile in result.profiles:
        assert sum(profile.shares.values()) == pytest.approx(1)
    assert str(tmp_path) not in out.read_text()
    assert not list(temporary.glob("rerank-bench-*"))


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--sections", "forward"), "No such option"),
        ((), "no data: name a BEIR folder"),
        (("/nowhere",), "/nowhere"),
        (("/nowhere", "--out", "/proc/none/out.json"), "a folder that is there"),
    ],
)
def test_what_must_be_mended_is_exit_code_2(tmp_path, words, message):
    """The message names it."""
    done = run(tmp_path, *words)
    assert done.returncode == 2
    assert message in " ".join(done.stderr.split())


def test_ctrl_c_leaves_nothing_behind(shop, model, tmp_path):
    """Exit code 130, no result file, no temporary folder."""
    words = command(shop, "--model", model, "--rounds", "100000", "--candidates", "5",
                    "--section", "forward", "--out", tmp_path / "out.json")  # fmt: skip
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    with subprocess.Popen(
        words,
        env=environment(temporary),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        began = time.monotonic()
        while not list(temporary.glob("*/yardstick.onnx")) and time.monotonic() < began + 120:
            time.sleep(0.1)
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 130, errors
    assert not list(temporary.glob("rerank-bench-*"))
    assert not (tmp_path / "out.json").exists()
