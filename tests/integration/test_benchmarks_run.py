"""`python -m benchmarks run`, `workload` and `load --workload` as programs, on small models."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from benchmarks.load.histogram import count
from benchmarks.load.samples import LoadResult
from benchmarks.points import read_suite
from benchmarks.workload.traffic import read_traffic
from demo.catalogue import write_catalogue
from rerank_core.errors import ConfigError
from rerank_core.records import read_json
from tests.sidecar_process import running
from tests.tiny_models import make_cross_encoder


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    """A made-up shop with judged queries."""
    folder = tmp_path_factory.mktemp("data") / "shop"
    write_catalogue(folder, products=120, queries=12)
    return folder


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A small cross-encoder."""
    return make_cross_encoder(tmp_path_factory.mktemp("model") / "tiny")


def run(*words, **more):
    kept = {name: value for name, value in os.environ.items() if name != "RERANK_DATA"}
    return subprocess.run(
        [sys.executable, "-m", "benchmarks", *map(str, words)],
        capture_output=True,
        text=True,
        env=kept | {"HF_HUB_OFFLINE": "1"} | more,
        timeout=850,
        check=False,
    )


def measured(*words, out):
    """The result of a run of which nothing is absent."""
    done = run(*words, "--out", out)
    assert done.returncode == 0, done.stderr
    summary = json.loads(done.stdout.splitlines()[-1])
    assert "absent" not in summary, done.stdout
    return read_suite(out)


def test_scenarios_end_to_end(shop, model, tmp_path):
    """Every named scenario gives points; a second run into the file keeps the others."""
    out = tmp_path / "suite.json"
    words = ("run", "start", "budget", "memory", "cost", "wire", "--quick", "--data", shop)
    result = measured(*words, "--model", model, "--candidates", "5", out=out)
    assert [one.name for one in result.scenarios] == ["start", "budget", "memory", "cost", "wire"]
    (start,) = result.scenario("start").points
    assert len(start.series["serving_ms"]) == 2
    assert min(start.series["first_ms"]) > 0
    budgets = [one.factors["budget_ms"] for one in result.scenario("budget").points]
    assert budgets == [0.0, 30.0, 75.0, 200.0, "none"]
    whole = result.scenario("budget").points[-1]
    assert set(whole.series["scored_share"]) == {1.0}
    assert set(whole.series["kept_of_10"]) == {1.0}
    cost = result.scenario("cost")
    assert {one.factors["varied"] for one in cost.points} == {
        "candidates", "threads", "path", "layers", "tokens",
    }  # fmt: skip
    for point in cost.points:
        assert len(point.series["service_ms"]) == 5
        assert count(point.histograms["service_ms"]) == 5
    assert all(one.figures["resident_bytes"] > 2**20 for one in result.scenario("memory").points)
    health, one_caller, half, saturated = result.scenario("wire").points
    assert len(health.series["service_ms"]) == 50
    for point in (one_caller, half):  # the server's own account is a part of what the client saw
        assert min(point.series["engine_ms"]) > 0
        assert min(point.series["beside_engine_ms"]) > 0
    assert len(saturated.series["kept_share"]) == 2
    assert str(tmp_path) not in out.read_text()
    assert str(model.parent) not in out.read_text()
    again = run("run", "start", *words[6:], "--model", model, "--candidates", "5", "--out", out)
    assert again.returncode == 0, again.stderr
    names = [one.name for one in read_suite(out).scenarios]
    assert names == ["budget", "memory", "cost", "wire", "start"]


@pytest.mark.long
@pytest.mark.timeout(900)
def test_cache_swap_and_funnels_end_to_end(shop, model, tmp_path):
    """On real clusters, the stock rerank on OpenSearch 2.19.1."""
    out = tmp_path / "suite.json"
    words = ("run", "cache", "swap", "funnel", "stock", "--quick", "--data", shop)
    result = measured(*words, "--model", model, "--candidates", "20", out=out)
    off, on = result.scenario("cache").points
    assert off.figures["hit_share"] == 0.0
    # A question that comes again was scored before, unless it is still in work.
    assert on.figures["hit_share"] > 0.5 * on.figures["repeated_share"] > 0
    phases = {one.factors["phase"]: one for one in result.scenario("swap").points}
    assert list(phases) == ["before", "during", "after"]
    assert phases["before"].figures["requests"] > 0
    assert phases["after"].figures["requests"] > 0
    assert all(one.figures["swapped"] == 1.0 for one in phases.values())
    assert [one.factors["depth"] for one in result.scenario("funnel").points] == [100.0, 30.0]
    stock = [
        (one.factors["rerank"], one.factors["depth"]) for one in result.scenario("stock").points
    ]
    ways = ("none", "stock", "frontend")
    assert stock == [(way, depth) for depth in (100.0, 30.0) for way in ways]
    for point in result.scenario("stock").points:
        if point.factors["rerank"] != "none":
            assert point.figures["same_top10_share"] == 1.0, "HTTP and gRPC rank alike"
    for one in result.scenarios:
        assert (one.data, one.candidates, one.quick) == ("shop", 20, True)


@pytest.mark.long
@pytest.mark.timeout(900)
def test_saturation_counts_what_is_whole_and_in_time(shop, model, tmp_path):
    """One idle caller, a closed loop, five open loops to ten times capacity, two unbounded."""
    out = tmp_path / "suite.json"
    words = ("run", "saturation", "--quick", "--data", shop, "--model", model)
    done = run(*words, "--candidates", "120", "--out", out)
    assert done.returncode == 0, done.stderr
    points = read_suite(out).scenario("saturation").points
    loops = [(one.factors["loop"], one.factors.get("share")) for one in points]
    assert loops[:2] == [("closed", None), ("closed", None)]
    assert loops[2:7] == [("open", share) for share in (0.5, 0.8, 1.0, 2.0, 10.0)]
    assert loops[7:9] == [("open, no budget", share) for share in (0.5, 1.5)]
    assert points[-1].factors["surface"] == "http"
    for point in points:
        figures = point.figures
        shares = [figures[f"{name}_share"] for name in ("full", "degraded", "error")]
        assert sum(shares) == pytest.approx(1, abs=0.001)
        # By when they came against by when they were sent: a few at either end.
        assert figures["goodput_qps"] <= 1.2 * figures["reached_qps"] + 0.5
        assert len(point.series["latency_ms"]) == len(point.series["scored_share"])


def test_a_workload_is_replayed_request_by_request(shop, model, tmp_path):
    """Equal seeds write equal bytes; two replays at one rate send the same at the same times."""
    files = [tmp_path / name for name in ("a.jsonl.gz", "b.jsonl.gz")]
    wish = ("--data", shop, "--turns", "60", "--questions", "8", "--candidates", "5,20", "--zipf")
    for file in files:
        done = run("workload", file, *wish, "1", "--batch-share", "0.3", "--shape", "1,4,1")
        assert done.returncode == 0, done.stderr
    assert files[0].read_bytes() == files[1].read_bytes()
    traffic = read_traffic(files[0])
    sent = []
    with running(tmp_path / "sidecar", "--models.reranker", model) as sidecar:
        for number in range(2):
            out = tmp_path / f"{number}.json"
            done = run(
                "load", sidecar.target, "--workload", files[0], "--rate", "20", "--duration-s", "3",
                "--budget-ms", "5000", "--out", out, RERANK_DATA=str(shop),
            )  # fmt: skip
            assert done.returncode == 0, done.stderr
            (kept,) = read_json(LoadResult, out, str(out), ConfigError).runs
            sent.append(sorted((one.intended_s, one.body) for one in kept.samples))
    assert sent[0] == sent[1]
    assert [at for at, _ in sent[0]] == pytest.approx(traffic.arrivals_s(20, 3))


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("run", "speed"), "'speed' is not one of"),
        (("run", "start"), "no data"),
        (("run", "start", "--data", "/nowhere"), "/nowhere: no such folder"),
        (("workload", "x.gz", "--kind", "poems", "--data", "/nowhere"), "kind is 'poems'"),
        (("load", "127.0.0.1:1", "--workload", "/nowhere.gz"), "/nowhere.gz: no such file"),
    ],
)
def test_what_must_be_mended_is_exit_code_2(tmp_path, words, told):
    """The message names it."""
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks", *words],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={k: v for k, v in os.environ.items() if k != "RERANK_DATA"},
        timeout=60,
        check=False,
    )
    assert done.returncode == 2, done.stderr
    assert told in " ".join(done.stderr.replace("│", " ").split())
