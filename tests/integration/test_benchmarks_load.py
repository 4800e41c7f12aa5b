"""`python -m benchmarks load` on a real sidecar, over both surfaces."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from benchmarks.load.samples import LoadResult
from rerank_core.artifact import open_named
from rerank_core.errors import ConfigError
from rerank_core.records import read_json
from tests.sidecar_process import running
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


@pytest.fixture(scope="module")
def sidecar(tmp_path_factory, model):
    """A running one."""
    folder = tmp_path_factory.mktemp("sidecar")
    with running(folder, "--models.reranker", model, http=True) as one:
        yield one


def run(*words):
    kept = {name: value for name, value in os.environ.items() if name != "RERANK_DATA"}
    return subprocess.run(
        [sys.executable, "-m", "benchmarks", "load", *map(str, words)],
        capture_output=True,
        text=True,
        env=kept,
        timeout=240,
        check=False,
    )


SHORT = ("--duration-s", "3", "--budget-ms", "5000", "--candidates", "5", "--requests", "2")


@pytest.mark.parametrize("surface", ["grpc", "http"])
def test_an_open_loop_on_a_running_sidecar(sidecar, model, shop, tmp_path, surface):
    """All that was sent is accounted for; each request was sent at its time or later."""
    out = tmp_path / "load.json"
    target = sidecar.target if surface == "grpc" else sidecar.url.removeprefix("http://")
    done = run(target, shop, "--surface", surface, "--rate", "20", *SHORT, "--out", out)
    assert done.returncode == 0, done.stderr
    summary = json.loads(done.stdout.splitlines()[-1])
    (name,) = summary
    assert name == f"W1, {surface}, 20/s"
    (kept,) = read_json(LoadResult, out, str(out), ConfigError).runs
    assert kept.capacity_qps > 0
    assert len(kept.samples) > 20
    assert {one.outcome for one in kept.samples} == {"full"}
    assert all(one.intended_s <= one.sent_s <= one.done_s for one in kept.samples)
    assert summary[name]["goodput_qps"] == pytest.approx(kept.goodput_qps, abs=0.01)
    if surface == "grpc":
        result = read_json(LoadResult, out, str(out), ConfigError)
        assert result.model_hash == open_named(str(model)).manifest.model_hash


def test_a_closed_loop_waits_for_answers(sidecar, shop, tmp_path):
    """Two callers: never more than two requests at once."""
    out = tmp_path / "load.json"
    done = run(sidecar.target, shop, "--callers", "2", *SHORT, "--out", out)
    assert done.returncode == 0, done.stderr
    (kept,) = read_json(LoadResult, out, str(out), ConfigError).runs
    events = [(one.sent_s, 1) for one in kept.samples] + [(one.done_s, -1) for one in kept.samples]
    at_once = most = 0
    for _, change in sorted(events):
        at_once += change
        most = max(most, at_once)
    assert most == 2


def test_a_deadline_that_is_too_short_is_no_goodput(sidecar, shop):
    """One millisecond: answers are degraded or late or no answers, and none is good."""
    done = run(sidecar.target, shop, "--rate", "20", *SHORT, "--budget-ms", "1")
    assert done.returncode == 0, done.stderr
    (figures,) = json.loads(done.stdout.splitlines()[-1]).values()
    assert figures["goodput_qps"] < 20


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("127.0.0.1:1",), "no sidecar answers"),
        (("127.0.0.1:1", "--surface", "smoke"), "surface is 'smoke'; it may be grpc, http"),
        (("127.0.0.1:1", "--shape", "high"), "shape is 'high'; give numbers such as 1,4,1"),
        (("127.0.0.1:1", "--text", "W3"), "text is 'W3'; it may be W1, W2"),
        (("127.0.0.1:1", "--duration-s", "1"), "all warm-up"),
    ],
)
def test_wrong_calls_are_told_with_their_mend(shop, words, told):
    """Exit status 2, nothing on stdout."""
    done = run(words[0], shop, "--candidates", "5", *words[1:])
    assert done.returncode == 2, done.stderr
    assert told in " ".join(done.stderr.split())
    assert not done.stdout
