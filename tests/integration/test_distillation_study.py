"""A study in miniature by its command: kept runs outlive the stages, stale ones do not count."""

import gzip
import io
import json
import os
import shutil
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import pytest
from rich.console import Console

from distillation.__main__ import study
from distillation.pipeline.run import Place
from distillation.study.grid import check_one_split, do_unit, units
from distillation.study.plan import read_plan
from distillation.study.report import report
from distillation.study.shelf import Shelf
from rerank_core.errors import ArtifactError, ConfigError
from tests.tiny_shop import TEXT, write_tiny_shop

pytestmark = pytest.mark.timeout(600)
RECIPE = f"""
extends = "shop.toml"
[[teacher.members]]
kind = "cosine"
{TEXT}
[pool]
bm25 = 0
[labels]
pairs = 160
[student]
layers = 1
{TEXT}
fit = {{steps = 8, loss = "margin-mse", learning_rate = 4e-4, head_learning_rate = 2e-3, \
evaluations = 2, pairs_a_step = 16, precision = "float32"}}
"""
HUMAN = """
extends = "tiny.toml"
[student]
learns = "human"
fit = {steps = 8, loss = "ranknet", pointwise = 0.3}
"""
PLAN = """
name = "tiny"
decides = "shop"
human = "A"
teacher = "tiny.toml"
arms = [
    {name = "A", recipe = "human.toml", seeds = [1, 2]},
    {name = "C1", recipe = "tiny.toml", changes = ["student.pairs=40"], labels = 40, seeds = [1]},
    {name = "C4", recipe = "tiny.toml", changes = ["student.pairs=160"], labels = 160, seeds = [1]},
    {name = "E", recipe = "tiny.toml", changes = ["student.learns=shuffled"], \
control = true, seeds = [1]},
]
"""


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    """A made-up shop whose study has run by its command, but for the arm E; its stages are gone."""
    folder = tmp_path_factory.mktemp("study")
    write_tiny_shop(folder)
    for name, text in (("tiny", RECIPE), ("human", HUMAN), ("plan", PLAN)):
        (folder / f"{name}.toml").write_text(text)
    with pytest.raises(ConfigError, match="the teacher's runs are not kept; see `study --run all`"):
        _report(folder)
    done = subprocess.run(
        [
            *(sys.executable, "-m", "distillation", "study", "plan.toml"),
            *("--data", "data", "--out", "work", "--pages", "pages"),
            *("--run", "A", "--run", "C1", "--run", "C4"),
        ],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "OMP_NUM_THREADS": "1", "COLUMNS": "200"},
    )
    assert done.returncode == 0, done.stderr
    assert "not run yet: E seed 1" in done.stdout
    shutil.rmtree(folder / "work")
    return folder


def _place(shop):
    return Place(shop / "data", shop / "work", None, shop)


def _report(shop):
    path = shop / "plan.toml"
    return report(read_plan(path), path, _place(shop), "select", shop / "pages")


@contextmanager
def _human_recipe(shop, text):
    (shop / "human.toml").write_text(text)
    try:
        yield
    finally:
        (shop / "human.toml").write_text(HUMAN)


def test_the_page_is_written_from_what_is_kept(shop):
    """No stage but the split is left, and none is done: the claims stand on the runs alone."""
    assert _report(shop) == ["E seed 1"]
    found = json.loads((shop / "pages" / "tiny.select.json").read_text())
    arms = found["sets"]["shop"]["arms"]
    seeds = {"teacher": 1, "cosine": 1, "A": 2, "C1": 1, "C4": 1}
    assert {name: one["seeds"] for name, one in arms.items()} == seeds
    # The teacher is the floor here, and nothing differs from itself.
    assert arms["teacher"]["against"]["cosine"]["difference"]["mean"] == 0
    assert [one["name"] for one in found["claims"]] == ["P1", "P2", "P3"]
    page = (shop / "pages" / "tiny.select.md").read_text()
    assert "no verdict on dev-select" in page
    # So it does not qualify by rule 1, and the arm of the control has not run.
    assert found["teacher"]["over_floor"]["difference"]["mean"] == 0
    assert found["teacher"]["passed"] is False
    assert "Rule 1, on dev-select: the teacher does not qualify, so the claims are void" in page
    assert found["control"] is None
    assert [one.name[:6] for one in (shop / "work").iterdir() if one.is_dir()] == ["split-"]


def test_dev_report_is_opened_for_a_whole_grid_alone(shop):
    """A unit that is missing is named, and no page is written."""
    path = shop / "plan.toml"
    with pytest.raises(ConfigError, match="when the grid is whole; not run yet: E seed 1"):
        report(read_plan(path), path, _place(shop), "report", shop / "pages")
    assert not (shop / "pages" / "tiny.report.json").exists()


def test_a_unit_that_is_kept_is_not_trained_again(shop):
    """A look at its record, and the file is left alone."""
    path = shop / "plan.toml"
    shelf = Shelf(shop / "pages" / "runs" / "tiny")
    (unit,) = (one for one in units(read_plan(path), path) if one.name == "C1-1")
    before = (shelf.folder / "C1-1.select.trec.gz").stat().st_mtime_ns
    show = Console(file=io.StringIO())
    do_unit(unit, _place(shop), shelf, show)
    assert "C1-1: kept before" in show.file.getvalue()
    assert (shelf.folder / "C1-1.select.trec.gz").stat().st_mtime_ns == before
    assert not list((shop / "work").glob("student-*"))


def test_a_unit_keeps_what_it_learnt_and_its_report_run_unread(shop):
    """Curve, machine and inputs are in its record, of dev-report scores alone."""
    runs = shop / "pages" / "runs" / "tiny"
    record = json.loads((runs / "C4-1.json").read_text())
    student = record["stages"]["student"]
    assert student["facts"]["pairs"] == 160
    assert len(student["facts"]["curve"]) == 2
    assert student["environment"]["versions"]["torch"]
    assert not any("report" in key for stage in record["stages"].values() for key in stage["facts"])
    assert len(gzip.decompress((runs / "C4-1.report.trec.gz").read_bytes()).splitlines()) > 20
    assert not (shop / "pages" / "tiny.report.md").exists()


def test_runs_of_other_settings_do_not_count(shop):
    """A recipe that has changed since makes its units missing, no others."""
    with _human_recipe(shop, HUMAN.replace("steps = 8", "steps = 9")):
        assert _report(shop) == ["A seed 1", "E seed 1", "A seed 2"]
    assert _report(shop) == ["E seed 1"]


def test_runs_that_are_half_written_do_not_count(shop):
    """The record comes last, and goes first where runs are written anew."""
    shelf = Shelf(shop / "pages" / "runs" / "tiny")
    record = shelf.folder / "C4-1.json"
    text = record.read_text()
    decided = json.loads(text)["decided_by"]
    with pytest.raises(AttributeError):  # no run at all: as a kill between the two
        shelf.keep("C4-1", decided, {"select": None}, {})
    try:
        assert not shelf.holds("C4-1", decided)
        assert _report(shop) == ["C4 seed 1", "E seed 1"]
    finally:
        record.write_text(text)


def test_a_record_that_cannot_be_read_is_named_with_its_mend(shop):
    """Rather than a unit trained again, or a traceback."""
    record = shop / "pages" / "runs" / "tiny" / "C4-1.json"
    text = record.read_text()
    record.write_text(text[:100])
    try:
        with pytest.raises(ArtifactError, match=r"C4-1.json: .*; remove it and run its unit again"):
            _report(shop)
    finally:
        record.write_text(text)


def test_arms_that_are_measured_on_other_queries_are_refused(shop):
    """Their means could not be held against each other."""
    path = shop / "plan.toml"
    with (
        _human_recipe(shop, f"{HUMAN}\n[split]\nhuman_queries = 10\n"),
        pytest.raises(ConfigError, match="its recipes split the data in 2 ways; give one"),
    ):
        check_one_split(read_plan(path), path)


def test_an_arm_that_is_not_in_the_plan_is_an_error(shop, monkeypatch):
    """Rather than nothing done."""
    monkeypatch.chdir(shop)
    with pytest.raises(ConfigError, match=r"--run C99: plan.toml has no such arm"):
        study(Path("plan.toml"), Path("data"), Path("work"), Path("pages"), run=["C99"])
