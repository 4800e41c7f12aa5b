"""What was recorded on a real machine says what the README and `docs/performance.md` say."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from benchmarks.guard.verdict import Round, judge
from benchmarks.points import read_suite
from benchmarks.report.readme import block, put
from benchmarks.results import read_result
from rerank_core.errors import ConfigError
from rerank_core.records import read_value

ROOT = Path(__file__).parents[2]
GUARD = ROOT / "docs" / "results" / "guard-zen3-2cores.json"
FILE = "docs/results/serving-zen3-2cores.json"


def test_the_readme_block_is_up_to_date():
    """What stands there is what `python -m benchmarks readme --write` makes of the named file."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert put(text, block(read_suite(ROOT / FILE), FILE), ROOT / "README.md") == text


def test_the_command_says_so_and_does_not_write():
    """One line of JSON."""
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks", "readme"],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {"file": "README.md", "up_to_date": True, "written": False}


def turned_away(busy: float, patience: float) -> float:
    """Share of Poisson arrivals that the best queue of one server and equal jobs turns away.

    `busy` is the offered load, `patience` the longest time from arrival to end, in jobs' times.
    Lindley's recursion, 200,000 arrivals.
    """
    random = np.random.default_rng(1)
    ahead, away = 0.0, 0
    for gap in random.exponential(1 / busy, 200_000).tolist():
        if ahead + 1 > patience:
            away += 1
        else:
            ahead += 1
        ahead = max(0.0, ahead - gap)
    return away / 200_000


def test_admission_turned_away_what_no_queue_could_have_served():
    """Up to twice the capacity within three in a hundred of the best queue, as docs say.

    Its jobs take a closed loop's time each; 20 ms of the budget are the server's margin.
    """
    saturation = read_suite(ROOT / FILE).scenario("saturation")
    four = next(one for one in saturation.points if one.factors.get("callers") == 4)
    job_s = 1 / four.figures["reached_qps"]
    loads = [one for one in saturation.points if one.factors["loop"] == "open"]
    kept = [one for one in loads if one.factors["share"] <= 2]
    assert [one.factors["share"] for one in kept] == [0.25, 0.5, 0.8, 1.0, 1.5, 2.0]
    for one in kept:
        patience = (one.figures["budget_ms"] - 20) / 1e3 / job_s
        best = turned_away(one.figures["reached_qps"] * job_s, patience)
        assert one.figures["degraded_share"] == pytest.approx(best, abs=0.03), one.name


def guarded():
    """Rounds of `python -m tests.planted_runs`, by what was planted."""
    content = json.loads(GUARD.read_text(encoding="utf-8"))
    return {
        name: [read_value(Round, one, name, ConfigError) for one in made]
        for name, made in content["runs"].items()
    }


def test_ten_real_runs_of_the_same_build_are_not_called_slower():
    """Sixty-four rounds each, in eight pairs of fresh processes."""
    same = {name: made for name, made in guarded().items() if name.startswith("nothing")}
    assert len(same) == 10
    assert {len(made) for made in same.values()} == {64}
    assert {judge(made, 0.05).word for made in same.values()} <= {"no slower", "undecided"}


@pytest.mark.parametrize(
    ("fault", "ratio"),
    [("sleep", 2.21), ("lock", 1.77), ("packing", 1.12)],
)
def test_a_real_planted_fault_is_found(fault, ratio):
    """A sleep, one lock for both workers, each pair a unit of its own: by the mean, as docs say."""
    verdict = judge(guarded()[fault], 0.05)
    assert verdict.word == "slower"
    assert verdict.mean.ratio == pytest.approx(ratio, abs=0.005)


def test_what_grpc_adds_and_keeps_is_what_the_docs_say():
    """Medians in milliseconds, and of five rounds the share of the engine's rate that is served."""
    points = read_suite(ROOT / FILE).scenario("wire").points
    health, one_caller, half, saturated = points
    assert np.median(health.series["service_ms"]) == pytest.approx(1.8, abs=0.05)
    assert np.median(one_caller.series["beside_engine_ms"]) == pytest.approx(4.6, abs=0.05)
    assert np.median(half.series["beside_engine_ms"]) == pytest.approx(6.0, abs=0.05)
    assert sorted(saturated.series["kept_share"]) == [0.89, 0.93, 0.96, 1.05, 1.13]


def test_the_kernels_stages_are_as_the_decision_says():
    """Nine tenths of titles on AVX2 are products; each row of the table is the file's."""
    result = read_result(ROOT / "docs" / "results" / "engine-stages-zen3-2cores.json")
    page = (ROOT / "docs" / "decisions" / "0002-native-kernel.md").read_text(encoding="utf-8")
    products = ("key-value-query", "attention-output", "ffn-in", "ffn-out")
    titles, texts = (one for one in result.profiles if one.name == "native, kernel")
    for profile in (titles, texts):
        assert sum(profile.shares.values()) == pytest.approx(1)
    assert sum(titles.shares[name] for name in products) > 0.9
    for words, stage in (
        ("keys, values, queries", "key-value-query"),
        ("attention", "attention"),
        ("attention's output", "attention-output"),
        ("feed-forward, in (with GELU and its rotation)", "ffn-in"),
        ("feed-forward, out", "ffn-out"),
        ("rotating and rounding to int8", "quantising"),
    ):
        assert (
            f"| {words} | {titles.shares[stage]:.0%} | {texts.shares[stage]:.0%} |".replace(
                "%", " %"
            )
            in page
        )
