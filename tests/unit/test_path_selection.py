"""Which path a model gets without the native kernel, and what is said about it."""

from __future__ import annotations

import shutil
from dataclasses import replace
from typing import get_args

import numpy as np
import pytest

from rerank_core.artifact import open_artifact
from rerank_core.engine import load_bi_encoder, load_cross_encoder, native_library
from rerank_core.engine.onnx_path import OnnxPath
from rerank_core.engine.selection import (
    CHOICE_VARIABLE,
    EncoderSource,
    PathChoice,
    chosen_path,
    relative_error,
    select_path,
)
from rerank_core.engine.shape import BertShape
from rerank_core.engine.static_calibration import measure_ranges
from rerank_core.engine.static_graph import Ranges
from rerank_core.errors import ArtifactError, ConfigError, SetupError, ToolMissingError
from tests.native_reference import random_rows, random_weights
from tests.tiny_models import make_bi_encoder, make_cross_encoder

SHAPE = BertShape(2, 64, 4, 128, 50, 512, 2, 1e-12)


def source(shape=SHAPE, pooling=None, quantisation=None, **random):
    return EncoderSource(lambda: random_weights(shape, **random), shape, pooling, quantisation)


def without_library(monkeypatch):
    def missing(_path=None):
        raise ToolMissingError("the native kernel was not built with this package")

    monkeypatch.setattr(native_library, "load_library", missing)


def test_onnxruntime_when_chosen():
    """A choice is no fallback."""
    loaded = select_path(source(), "onnxruntime")
    assert loaded.path.name == "onnxruntime-fp32"
    assert (loaded.reason, loaded.fallback) == ("fp32 on ONNX Runtime was chosen", False)


def test_a_missing_kernel_falls_back_aloud(monkeypatch):
    """A package built without a compiler serves on ONNX Runtime, and says why."""
    without_library(monkeypatch)
    loaded = select_path(source(pooling="mean"), "auto")
    assert loaded.path.name == "onnxruntime-fp32"
    assert loaded.fallback
    assert "was not built" in loaded.reason


def test_a_missing_kernel_is_an_error_where_it_was_asked_for(monkeypatch):
    """A choice is never overruled in silence."""
    without_library(monkeypatch)
    with pytest.raises(ToolMissingError):
        select_path(source(), "native")


def calibrated(seed=0) -> Ranges:
    rows = [random_rows(SHAPE, [30] * 4)]
    return measure_ranges(random_weights(SHAPE, seed), SHAPE, None, rows, "made up").to_manifest()


def test_static_int8_tells_its_error():
    """Compared with fp32 on the built-in sample before it serves."""
    loaded = select_path(source(quantisation=calibrated()), "onnxruntime-int8")
    assert loaded.path.name.startswith("onnxruntime-int8-")
    assert not loaded.fallback
    assert loaded.reason.startswith("static int8 on ONNX Runtime, within ")


def test_ranges_of_another_model_do_not_pass_the_test():
    """Inputs far outside of the ranges are cut: the outputs are wrong, and that is refused."""
    stored = calibrated()
    stored["ranges"] = {name: [-0.01, 0.01] for name in stored["ranges"]}
    with pytest.raises(SetupError, match="static int8 on ONNX Runtime is off fp32 by"):
        select_path(source(quantisation=stored), "onnxruntime-int8")


@pytest.mark.parametrize("choice", get_args(PathChoice))
def test_weights_that_overflow_are_refused_on_every_path(choice):
    """They are finite, what they compute is not: no path may serve it."""
    weights = random_weights(SHAPE)
    weights["encoder.layer.0.intermediate.dense.bias"][:] = 3e38
    overflowing = EncoderSource(lambda: weights, SHAPE, name="/models/big")
    with (
        np.errstate(all="ignore"),
        pytest.raises(ArtifactError, match=r"/models/big: .* NaN or infinite in fp32"),
    ):
        select_path(overflowing, choice)


def test_relative_error_by_hand():
    """Of 3 and 4, which are .5 off their mean, by 2 and 1: sqrt(2.5) over .5; NaN stays NaN."""
    wanted = np.array([[3.0], [4.0]])
    assert relative_error(np.array([[5.0], [5.0]]), wanted) == pytest.approx(2.5**0.5 / 0.5)
    assert np.isnan(relative_error(np.array([[np.nan], [5.0]]), wanted))


def test_the_longest_row_that_is_served_is_in_the_sample(monkeypatch):
    """And none is longer than the encoder reads."""
    seen = []
    compute = OnnxPath.forward

    def logged(self, tokens):
        seen.extend(tokens.lengths)
        return compute(self, tokens)

    monkeypatch.setattr(OnnxPath, "forward", logged)
    select_path(replace(source(), most_tokens=300), "onnxruntime")
    assert max(seen) == 300
    select_path(replace(source(), most_tokens=900), "onnxruntime")
    assert max(seen) == SHAPE.positions


def test_what_all_rows_share_hides_no_error():
    """The mean for every row is off by all of the spread, however large the mean is."""
    wanted = np.array([[1000.0, -7.0], [1001.0, -9.0], [1005.0, -5.0]])
    assert relative_error(np.broadcast_to(wanted.mean(axis=0), (3, 2)), wanted) == pytest.approx(1)


def test_outputs_that_are_all_equal_are_held_to_their_size():
    """A classifier of zeros gives its bias: last bits of fp32 are no error of a path."""
    wanted = np.full((3, 1), 2.0)
    assert relative_error(wanted * (1 + 1e-7), wanted) == pytest.approx(1e-3)
    assert relative_error(wanted * 0, wanted * 0) == 0


def test_the_environment_chooses(monkeypatch):
    """Auto without the variable, its word with it, an error for a word that is none."""
    monkeypatch.delenv(CHOICE_VARIABLE, raising=False)
    assert chosen_path() == "auto"
    for word in ("native-bf16", "onnxruntime", "onnxruntime-int8", "cuda"):
        monkeypatch.setenv(CHOICE_VARIABLE, word)
        assert chosen_path() == word
    monkeypatch.setenv(CHOICE_VARIABLE, "gpu")
    with pytest.raises(ConfigError, match=", ".join(get_args(PathChoice))):
        chosen_path()


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    root = tmp_path_factory.mktemp("models")
    return {"cross": make_cross_encoder(root / "cross"), "bi": make_bi_encoder(root / "bi")}


@pytest.mark.parametrize("kind", ["cross", "bi"])
@pytest.mark.parametrize("choice", ["native", "native-bf16", "onnxruntime-int8", "cuda"])
def test_without_weights_a_path_that_needs_them_is_refused(made, tmp_path, kind, choice):
    """An exported graph computes on ONNX Runtime alone."""
    folder = shutil.copytree(made[kind], tmp_path / kind)
    (folder / "model.safetensors").unlink()
    (folder / "onnx").mkdir()
    (folder / "onnx/model.onnx").write_bytes(b"never read")
    load = {"cross": load_cross_encoder, "bi": load_bi_encoder}[kind]
    with pytest.raises(ArtifactError, match=f"missing; the path {choice} computes from weights"):
        load(open_artifact(folder), choice)
