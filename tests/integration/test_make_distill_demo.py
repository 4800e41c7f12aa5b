"""`make distill-demo`, short of the minutes that it takes: its own commands, up to the split."""

from __future__ import annotations

import shlex
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def commands(tmp_path_factory):
    """What make would run, as arguments behind `-m`, into a folder of this test."""
    out = tmp_path_factory.mktemp("demo")
    shown = subprocess.run(
        ["make", "-n", "distill-demo", f"DISTILL_DEMO={out}"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    lines = shown.replace("\\\n", " ").splitlines()
    words = [
        shlex.split(line.rpartition(" -m ")[2])
        for line in lines
        if " -m demo " in line or " -m distillation " in line
    ]
    return out, words


def _run(words):
    return subprocess.run(
        [sys.executable, "-m", *words], cwd=ROOT, check=False, capture_output=True, text=True
    )


def test_the_shop_that_it_makes_is_what_its_recipe_reads(commands):
    """The catalogue is made and split by the very commands, with no change to the recipe."""
    out, (make_shop, pipeline) = commands
    assert make_shop[:2] == ["demo", "make-catalogue"]
    assert pipeline[:3] == ["distillation", "run", "distillation/recipes/demo.toml"]
    made = _run(make_shop)
    assert made.returncode == 0, made.stderr
    pipeline[pipeline.index("--cluster") + 1] = "http://127.0.0.1:9"  # BM25 comes after the split
    done = _run([*pipeline, "--until", "split"])
    assert done.returncode == 0, done.stderr
    assert len(list((out / "stages").glob("split-*/manifest.json"))) == 1
