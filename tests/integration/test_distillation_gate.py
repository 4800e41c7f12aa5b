"""The quality gate of a numeric path, on a made-up shop and as it was kept for what is shipped."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from demo.catalogue import write_catalogue
from rerank_core.artifact import open_named

ROOT = Path(__file__).parents[2]
PUBLICATION = """
licence_file = "LICENSE"
card = "card.md"
[licence]
name = "none"
[[sets]]
folder = "shop"
floor = 0.0
top = 3.0
[[sets]]
folder = "shop"
floor = 0.0
top = 3.0
reporting_half = true
"""


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("gate")
    write_catalogue(folder / "shop", products=150, queries=4)
    (folder / "publication.toml").write_text(PUBLICATION)
    return folder


def gate(data, *flags):
    return subprocess.run(
        [
            *(sys.executable, "-m", "distillation", "gate", "student", "--data", str(data)),
            *("--publication", str(data / "publication.toml"), *flags),
        ],
        cwd=ROOT,
        check=False,
        capture_output=True,
        text=True,
    )


def test_a_path_against_itself_is_the_same(data):
    """No difference, tau 1; a set of four queries is told and decides nothing."""
    out = data / "verdict.json"
    done = gate(data, "--path", "onnxruntime", "--out", str(out))
    assert done.returncode == 0, done.stderr
    assert "nothing is decided: no set has 500 queries" in done.stdout
    assert "shop dev: nDCG@10 +0.00000 over" in done.stdout
    kept = json.loads(out.read_text())
    (verdict,) = kept["sets"]
    assert verdict["tau"]["mean"] == verdict["worst_tau"] == 1
    assert verdict["ndcg"]["difference"] == 0
    assert kept["model_hash"] == open_named("student").manifest.model_hash
    assert kept["numeric_path"] == "onnxruntime-fp32"


def test_a_path_that_is_none_is_one_line(data):
    done = gate(data, "--path", "fastest")
    assert done.returncode == 1
    assert done.stderr.startswith("error: the numeric path is 'fastest'")
    assert done.stderr.count("\n") == 1


def test_a_verdict_that_cannot_be_kept_is_told_before_the_work(data):
    done = gate(data, "--out", str(data / "nowhere" / "verdict.json"))
    assert done.returncode == 1
    assert "verdict.json: give a file name in a folder that is there" in done.stderr
    assert not done.stdout


@pytest.mark.parametrize(("path", "least_tau"), [("native-int8", 0.95), ("native-int16", 0.98)])
def test_the_shipped_student_passed_on_each_native_path(path, least_tau):
    """The kept verdict is of these weights: nDCG@10 within .005 of fp32 on Home Depot dev."""
    kept = json.loads((ROOT / f"docs/results/{path}.gate.json").read_text())
    assert kept["numeric_path"] == path
    assert kept["model_hash"] == open_named("student").manifest.model_hash
    homedepot = next(one for one in kept["sets"] if one["data"] == "homedepot dev")
    assert homedepot["ndcg"]["queries"] == 976
    assert homedepot["ndcg"]["margin"] == 0.005
    assert homedepot["ndcg"]["p_value"] < 0.05
    assert {one["data"].split()[0] for one in kept["sets"]} == {
        *("homedepot", "crowdflower", "esci150", "icecat")
    }
    assert min(one["tau"]["mean"] for one in kept["sets"]) > least_tau
