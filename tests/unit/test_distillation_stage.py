"""A stage is done once, goes on after a kill, and does not trust a changed output."""

import io
import json

import pytest
from rich.console import Console

from distillation.pipeline.stage import Order, do, lineage
from rerank_core.errors import ArtifactError

SHOW = Console(file=io.StringIO())


def _write(folder):
    (folder / "out.txt").write_text("result")
    return {"value": 1}


def test_a_stage_that_is_done_is_not_done_again(tmp_path):
    """The second call finds the manifest and asks for no work."""
    order = Order("one", {"a": 1}, {})
    first = do(order, tmp_path, _write, SHOW)
    second = do(order, tmp_path, lambda _folder: pytest.fail("was done again"), SHOW)
    assert first.manifest == second.manifest
    assert second.facts == {"value": 1}
    assert list(second.manifest["outputs"]) == ["out.txt"]


def test_other_settings_are_another_folder(tmp_path):
    """Neither writes over the other."""
    one = do(Order("one", {"a": 1}, {}), tmp_path, _write, SHOW)
    two = do(Order("one", {"a": 2}, {}), tmp_path, _write, SHOW)
    assert one.folder != two.folder


def test_another_result_of_an_input_is_another_folder(tmp_path):
    """A stage that reads a teacher trained anew is done anew, though the settings are the same."""
    first = do(Order("one", {}, {}), tmp_path / "a", _write, SHOW)
    other = do(
        Order("one", {}, {}), tmp_path / "b", lambda f: (f / "o").write_text("x") and {}, SHOW
    )
    keys = {Order("two", {}, {"one": one}).key for one in (first, other)}
    assert len(keys) == 2


def test_checkpoints_are_no_output_and_go_when_the_stage_is_done(tmp_path):
    """Those of a part of the stage, too; what else the part wrote stays."""

    def trains(folder):
        for part in (folder, folder / "human"):
            part.mkdir(exist_ok=True)
            (part / "checkpoint.pt").write_text("half")
            (part / "best.pt").write_text("best")
        return {}

    done = do(Order("one", {}, {}), tmp_path, trains, SHOW)
    assert list(done.manifest["outputs"]) == ["best.pt", "human/best.pt"]
    assert not list(done.folder.rglob("checkpoint.pt"))


def test_a_killed_stage_finds_what_it_left(tmp_path):
    """No manifest, so the work is called again, on the same folder."""
    order = Order("one", {}, {})

    def killed(folder):
        (folder / "half").write_text("half")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        do(order, tmp_path, killed, SHOW)

    def goes_on(folder):
        assert (folder / "half").read_text() == "half"
        return {}

    assert do(order, tmp_path, goes_on, SHOW).manifest["stage"] == "one"


def test_an_output_that_was_changed_is_named(tmp_path):
    """A model trained on labels that somebody edited would lie about where it came from."""
    order = Order("one", {}, {})
    folder = do(order, tmp_path, _write, SHOW).folder
    (folder / "out.txt").write_text("edited")
    with pytest.raises(ArtifactError, match=r"out\.txt: not what the stage wrote; remove"):
        do(order, tmp_path, _write, SHOW)


def test_lineage_leads_back_through_every_stage(tmp_path):
    """From the last stage's folder alone."""
    first = do(Order("split", {"data": "hash"}, {}), tmp_path, _write, SHOW)
    second = do(Order("student", {}, {"split": first}), tmp_path, _write, SHOW)
    found = lineage(second)
    assert [one["stage"] for one in found.values()] == ["student", "split"]
    assert json.dumps(found)
