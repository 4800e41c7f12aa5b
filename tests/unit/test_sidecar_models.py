"""What the log says of the models when they are loaded."""

from __future__ import annotations

import shutil
from dataclasses import replace

import pytest
from structlog.testing import capture_logs

from rerank_core.artifact import named_folder, open_artifact
from rerank_core.engine import CHOICE_VARIABLE, Engine, load_cross_encoder, native_library
from rerank_core.engine.static_calibration import calibrate_artifact
from rerank_core.errors import ToolMissingError
from sidecar.config import ModelSettings
from sidecar.models import ModelShelf, load_models
from tests.tiny_models import make_bi_encoder, make_cross_encoder


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    root = tmp_path_factory.mktemp("models")
    return ModelSettings(
        reranker=str(make_cross_encoder(root / "cross")),
        encoders=(str(make_bi_encoder(root / "bi")),),
    )


def logged(folders):
    with Engine(1) as engine, capture_logs() as lines:
        load_models(folders, engine)
    return [line for line in lines if line["event"] == "model"]


def test_one_line_a_model_with_its_path_and_why(folders, monkeypatch):
    """The choice that was met is information."""
    monkeypatch.setenv(CHOICE_VARIABLE, "onnxruntime")
    lines = logged(folders)
    assert [line["name"] for line in lines] == ["cross", "bi"]
    for line in lines:
        assert (line["log_level"], line["fallback"], line["deterministic"]) == (
            "info",
            False,
            False,
        )
        assert line["numeric_path"] == "onnxruntime-fp32"
        assert line["reason"] == "fp32 on ONNX Runtime was chosen"


def test_new_ranges_of_static_int8_are_loaded_though_the_weights_are_the_same(
    tmp_path, monkeypatch
):
    """They decide scores; a licence that changed in the manifest decides none."""
    monkeypatch.setenv(CHOICE_VARIABLE, "onnxruntime-int8")
    folder = shutil.copytree(named_folder("student"), tmp_path / "student")
    compose = load_cross_encoder(open_artifact(folder), "onnxruntime").composer("garden hose")
    texts = ["Garden hose 50 ft.", "12 in. x 24 in. marble tile", "hammer drill, tool only " * 4]
    settings = ModelSettings(reranker=str(folder), encoders=())
    with Engine(1) as engine:
        calibrate_artifact(open_artifact(folder), [compose(texts)], "first")
        before = load_models(settings, engine)
        first = before.reranker()
        same = load_models(settings, engine, [first]).reranker()
        assert same.model.path is first.model.path
        calibrate_artifact(open_artifact(folder), [compose([*texts, "oak"])], "second")
        after = load_models(settings, engine, [first])
        second = after.reranker()
    assert second.model.hash == first.model.hash
    assert second.model.path is not first.model.path
    assert second.model.numeric_path != first.model.numeric_path
    shelf = ModelShelf()
    shelf.put(before)
    shelf.put(after)
    assert shelf.roll_back() is before
    assert shelf.was_left(after)
    shelf.put(before)  # a reload whose settings still name what was left
    assert shelf.was_left(after)
    shelf.put(replace(before))  # a reload whose settings name what is served
    assert not shelf.was_left(after)


def test_a_fallback_is_a_warning(folders, monkeypatch):
    """Whoever runs the server sees that it is slower than was wanted, and why."""

    def missing(_path=None):
        raise ToolMissingError("the native kernel was not built with this package")

    monkeypatch.setattr(native_library, "load_library", missing)
    monkeypatch.setenv(CHOICE_VARIABLE, "auto")
    for line in logged(folders):
        assert (line["log_level"], line["fallback"]) == ("warning", True)
        assert "was not built" in line["reason"]
