"""`python -m benchmarks guard` and its rounds on real sidecars."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

import rerank_core.engine
from benchmarks.guard.builds import installed
from benchmarks.guard.run import take_turns
from benchmarks.guard.verdict import judge
from benchmarks.serving import Build
from benchmarks.workload.draw import Wish, draw
from demo.catalogue import write_catalogue
from rerank_core.artifact import named_folder
from rerank_core.errors import ConfigError
from rerank_core.measures import BeirFolder
from tests.tiny_models import make_cross_encoder

ROOT = Path(__file__).parents[2]


def planted(fault):
    """A build with a fault in it."""
    return Build(fault, (sys.executable, "-m", "tests.planted", fault), {"PYTHONPATH": str(ROOT)})


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    """A made-up shop."""
    folder = tmp_path_factory.mktemp("data") / "shop"
    write_catalogue(folder, products=200, queries=20)
    return folder


def test_a_planted_sleep_is_found_in_a_real_run(shop, tmp_path):
    """25 ms a unit, more than five titles take, in twelve rounds of the shipped student.

    Eight pairs of processes share the rounds.
    """
    traffic = draw(BeirFolder(shop), Wish(turns=12, questions=12, candidates=(5,)))
    result = take_turns(
        planted("sleep"),
        Build(),
        traffic,
        model=str(named_folder("student")),
        rounds=12,
        scratch=tmp_path,
        tell=lambda _: None,
    )
    assert [one.block for one in result.rounds] == [0, 1, 1, 2, 3, 3, 4, 5, 5, 6, 7, 7]
    verdict = judge(result.rounds, 0.05)
    assert verdict.word == "slower", verdict


def test_two_numeric_paths_are_no_comparison(shop, tmp_path):
    """The reference computes in fp32: that is named, and nothing is timed."""
    traffic = draw(BeirFolder(shop), Wish(turns=8, questions=8, candidates=(5,)))
    other = replace(Build(), name="in fp32", environ={"RERANK_NUMERIC_PATH": "onnxruntime"})
    with pytest.raises(ConfigError, match=r"in fp32 computes on .*, this on "):
        take_turns(
            Build(),
            other,
            traffic,
            model=str(named_folder("student")),
            rounds=8,
            scratch=tmp_path,
            tell=lambda _: None,
        )


def test_the_command_beside_another_build(shop, tmp_path):
    """A folder that holds a build: the raw rounds are kept, the last line is the verdict.

    The folder's build is this tree by another way, so nothing is said of its verdict but its form;
    the exit code is the verdict's.
    """
    build = tmp_path / "build"
    build.mkdir()
    for name in ("rerank_models", "rerank_proto", "sidecar"):
        (build / name).symlink_to(ROOT / name)
    shutil.copytree(ROOT / "rerank_core", build / "rerank_core")
    # The kernel is where this tree was installed from; without it the folder computes in fp32.
    for place in rerank_core.engine.__path__:
        for kernel in Path(place).glob("*.so"):
            shutil.copy(kernel, build / "rerank_core" / "engine")
    assert installed("x", build).environ["PYTHONPATH"].startswith(str(build))
    model = make_cross_encoder(tmp_path / "tiny")
    out = tmp_path / "guard.json"
    done = subprocess.run(
        [
            *(sys.executable, "-m", "benchmarks", "guard", str(build), "--data", str(shop)),
            *("--model", str(model), "--rounds", "8", "--candidates", "5", "--out", str(out)),
        ],
        capture_output=True,
        text=True,
        env=os.environ | {"HF_HUB_OFFLINE": "1"},
        timeout=200,
        check=False,
    )
    assert done.returncode in {0, 3, 5}, done.stderr
    verdict = json.loads(done.stdout.splitlines()[-1])
    assert done.returncode == {"slower": 3, "undecided": 5}.get(verdict["word"], 0)
    assert (verdict["rounds"], verdict["blocks"]) == (8, 8)
    kept = json.loads(out.read_text(encoding="utf-8"))
    assert [one["block"] for one in kept["rounds"]] == list(range(8))
    assert all(len(one["this_ms"]) == 2 for one in kept["rounds"])
    assert str(tmp_path) not in json.dumps(kept["model"])


@pytest.mark.long
@pytest.mark.timeout(1800)
def test_a_revision_is_built_and_served(shop, tmp_path):
    """HEAD, from git, with its own kernel; needs a compiler and the build's packages."""
    done = subprocess.run(
        [
            *(sys.executable, "-m", "benchmarks", "guard", "HEAD", "--data", str(shop)),
            *("--rounds", "10", "--candidates", "20", "--out", str(tmp_path / "guard.json")),
        ],
        capture_output=True,
        text=True,
        env=os.environ | {"HF_HUB_OFFLINE": "1"},
        timeout=1700,
        check=False,
    )
    assert done.returncode in {0, 3, 5}, done.stderr
    assert json.loads(done.stdout.splitlines()[-1])["rounds"] == 10
