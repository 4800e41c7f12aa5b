"""`python -m benchmarks compare`, `report`, `plan` and `readme` as programs, on made-up results."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace

import pytest

from benchmarks.points import write_suite
from tests.suite_results import made_result


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """A result, the same again, and one a third slower."""
    folder = tmp_path_factory.mktemp("results")
    for name, slower, seed in (("a", 1.0, 1), ("same", 1.0, 2), ("slower", 1.3, 3)):
        write_suite(made_result(slower, seed=seed), folder / f"{name}.json")
    return folder


def run(*words):
    return subprocess.run(
        [sys.executable, "-m", "benchmarks", *map(str, words)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.mark.parametrize(("other", "code"), [("same", 0), ("slower", 3)])
def test_compare_ends_with_a_code_for_ci(files, other, code):
    """3 where a point became slower; the last line counts."""
    done = run("compare", files / "a.json", files / f"{other}.json")
    assert done.returncode == code, done.stderr
    counts = json.loads(done.stdout.splitlines()[-1])
    assert (counts["slower"] > 0) == (code == 3)
    assert counts["faster"] == counts["better"] == counts["gone"] == 0


def test_compare_fails_where_a_point_is_gone(files):
    """3, too; a scenario that was not asked again is named and nothing else."""
    whole = made_result()
    saturation = whole.scenario("saturation")
    fewer = replace(saturation, points=saturation.points[1:])
    less = files / "less.json"
    write_suite(replace(whole, scenarios=(fewer,)), less)
    done = run("compare", files / "a.json", less)
    assert done.returncode == 3, done.stderr
    assert json.loads(done.stdout.splitlines()[-1])["gone"] == 1
    assert "not compared: cost" in done.stderr


def test_report_writes_one_page(files, tmp_path):
    """With figures, and its size told."""
    out = tmp_path / "page.html"
    done = run("report", files / "a.json", out)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["bytes"] == out.stat().st_size
    assert out.read_text(encoding="utf-8").count("<svg") == 6


def test_plan_tells_cores_and_price(files):
    """Of a made-up machine on which 100 titles take 100 ms on two cores."""
    asked = ("--qps", "50", "--candidates", "100", "--p99-ms", "300", "--result", files / "a.json")
    done = run("plan", *asked)
    assert done.returncode == 0, done.stderr
    line = json.loads(done.stdout.splitlines()[-1])
    fleet = line["fleet"]
    assert fleet["p99_ms"] <= 300
    assert fleet["price_hour"] == pytest.approx(0.04 * fleet["cores"] * fleet["replicas"])
    assert line["alternatives"]["3 layers"] < fleet["price_hour"]
    assert line["p99_extrapolated"]
    assert "200 service times support no p99" in done.stdout
    assert "open, no budget" in done.stdout


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("compare", "/nowhere.json", "/nowhere.json"), "/nowhere.json: No such file"),
        (("report", "/nowhere.json", "/proc/none/x.html"), "a folder that is there"),
        (("plan", "--qps", "5", "--result", "/nowhere.json"), "/nowhere.json: no such file"),
        (("guard", "HEAD", "--rounds", "7"), "greater than or equal to 8"),
        (("guard", "no-such-revision", "--data", "/nowhere"), "/nowhere"),
    ],
)
def test_what_must_be_mended_is_exit_code_2(words, told):
    """The message names it."""
    done = run(*words)
    assert done.returncode == 2, done.stderr
    assert told in " ".join(done.stderr.split())
