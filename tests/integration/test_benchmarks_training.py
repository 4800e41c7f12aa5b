"""`python -m benchmarks training` on a made-up shop: both loops really train."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from demo.catalogue import write_catalogue

pytestmark = pytest.mark.timeout(600)  # torch, sentence-transformers and two small trainings
ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    """A made-up shop whose first thirty judged queries are train, the rest dev."""
    folder = tmp_path_factory.mktemp("training") / "shop"
    write_catalogue(folder, products=200, queries=60, seed=3)
    dev = folder / "qrels" / "dev.tsv"
    head, *rows = dev.read_text().splitlines()
    train = set(list(dict.fromkeys(row.split("\t")[0] for row in rows))[:30])
    for name, inside in (("train", True), ("dev", False)):
        part = [row for row in rows if (row.split("\t")[0] in train) is inside]
        (folder / "qrels" / f"{name}.tsv").write_text("\n".join([head, *part]) + "\n")
    return folder


def _run(*words):
    return subprocess.run(
        [sys.executable, "-m", "benchmarks", "training", *map(str, words)],
        cwd=ROOT,
        env=os.environ | {"HF_HUB_OFFLINE": "1"},
        check=False,
        capture_output=True,
        text=True,
    )


def test_both_loops_train_and_are_told_side_by_side(shop, tmp_path):
    """Two steps of one layer: raw samples in the file, a table, one line of JSON at the end.

    Which is faster is not asked for here.
    """
    out = tmp_path / "training.json"
    done = _run(shop, "--steps", 2, "--rounds", 1, "--layers", 1, "--out", out)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout.splitlines()[-1])
    assert set(told["loops"]) == {"distillation.fit", "CrossEncoderTrainer"}
    kept = json.loads(out.read_text())
    assert kept["pairs_a_step"] == 64
    by_name = {one["name"]: one for one in kept["samples"]}
    for name, measures in told["loops"].items():
        assert 0 < measures["pairwise_accuracy"] < 1
        assert measures["margin_error"] > 0
        assert by_name[name]["pairs_per_s"] == pytest.approx(128 / by_name[name]["seconds"], 0.01)
    ours, theirs = by_name["distillation.fit"], by_name["CrossEncoderTrainer"]
    assert told["times_faster"]["median"] == pytest.approx(
        theirs["seconds"] / ours["seconds"], abs=0.01
    )


def test_a_set_of_too_few_lists_is_named(shop):
    """Exit 2, and the mend, before anything is trained."""
    done = _run(shop, "--steps", 500)
    assert done.returncode == 2
    assert "500 steps need 4000; give fewer --steps" in done.stderr
