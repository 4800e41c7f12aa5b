"""Which path a model gets, and what is said about it."""

from __future__ import annotations

import numpy as np
import pytest

from rerank_core.artifact import open_artifact
from rerank_core.engine import load_bi_encoder, load_cross_encoder, native_library
from rerank_core.engine.native import NativePath
from rerank_core.engine.selection import (
    CHOICE_VARIABLE,
    chosen_path,
    load_path,
)
from rerank_core.engine.shape import BertShape
from rerank_core.errors import ConfigError, SetupError, ToolMissingError
from tests.native_reference import random_weights
from tests.tiny_models import make_bi_encoder, make_cross_encoder

SHAPE = BertShape(2, 64, 4, 128, 50, 512, 2, 1e-12)


def test_the_native_kernel_is_taken_and_says_so():
    """Where it runs, it is chosen; the reason names instruction set and error."""
    loaded = load_path(random_weights(SHAPE), SHAPE, None)
    assert loaded.path.name == "native-int8"
    assert not loaded.fallback
    assert "of fp32 on the built-in sample" in loaded.reason


def test_onnxruntime_when_asked_for():
    """A choice is no fallback."""
    loaded = load_path(random_weights(SHAPE), SHAPE, None, "onnxruntime")
    assert loaded.path.name == "onnxruntime-fp32"
    assert not loaded.fallback


def _without_library(monkeypatch):
    def missing(_path=None):
        raise ToolMissingError("the native kernel was not built with this package")

    monkeypatch.setattr(native_library, "load_library", missing)


def test_a_missing_kernel_falls_back_aloud(monkeypatch):
    """A package built without a compiler serves on ONNX Runtime, and says why."""
    _without_library(monkeypatch)
    loaded = load_path(random_weights(SHAPE), SHAPE, "mean", None)
    assert loaded.path.name == "onnxruntime-fp32"
    assert loaded.fallback
    assert "was not built" in loaded.reason


def test_a_missing_kernel_is_an_error_where_it_was_asked_for(monkeypatch):
    """A choice is never overruled in silence."""
    _without_library(monkeypatch)
    with pytest.raises(ToolMissingError):
        load_path(random_weights(SHAPE), SHAPE, None, "native")


def test_a_shape_beyond_the_kernel_falls_back():
    """What the kernel refuses runs on ONNX Runtime."""
    shape = BertShape(1, 16, 1, 65_473, 5, 8, 2, 1e-12)
    loaded = load_path(random_weights(shape), shape, None)
    assert loaded.fallback
    assert "65,472" in loaded.reason


def test_a_kernel_that_computes_wrongly_is_not_used(monkeypatch):
    """The self-test compares numbers: other weights than the reference's do not pass."""
    weights = random_weights(SHAPE)
    honest = NativePath.__init__

    def other_weights(self, _weights, *rest, **named):
        honest(self, random_weights(SHAPE, seed=9), *rest, **named)

    monkeypatch.setattr(NativePath, "__init__", other_weights)
    loaded = load_path(weights, SHAPE, None)
    assert loaded.fallback
    assert "off fp32" in loaded.reason
    with pytest.raises(SetupError, match="off fp32"):
        load_path(weights, SHAPE, None, "native")


def test_overflowing_weights_do_not_pass_the_test():
    """Weights that make the outputs infinite or NaN in int8 are not served by it."""
    weights = random_weights(SHAPE)
    weights["encoder.layer.0.intermediate.dense.bias"][:] = 3e38
    with np.errstate(all="ignore"):
        loaded = load_path(weights, SHAPE, None)
    assert loaded.fallback


def test_the_environment_chooses(monkeypatch):
    """The reference without the variable, its word with it, an error for a word that is none."""
    monkeypatch.delenv(CHOICE_VARIABLE, raising=False)
    assert chosen_path() == "onnxruntime"
    monkeypatch.setenv(CHOICE_VARIABLE, "auto")
    assert chosen_path() == "auto"
    monkeypatch.setenv(CHOICE_VARIABLE, "gpu")
    with pytest.raises(ConfigError, match="auto, native, onnxruntime"):
        chosen_path()


@pytest.mark.parametrize("kind", ["cross-encoder", "bi-encoder"])
def test_a_model_folder_is_loaded_on_the_path_asked_for(tmp_path, kind):
    """Loading takes the choice, and the model says which path it got and why."""
    make, load = {
        "cross-encoder": (make_cross_encoder, load_cross_encoder),
        "bi-encoder": (make_bi_encoder, load_bi_encoder),
    }[kind]
    artifact = open_artifact(make(tmp_path / "model"))
    native, portable = load(artifact, "native"), load(artifact, "onnxruntime")
    assert (native.numeric_path, native.deterministic) == ("native-int8", True)
    assert "native kernel on" in native.path_reason
    assert portable.numeric_path == "onnxruntime-fp32"
    tokens = native.text.texts(["a red cotton shirt", "blue"])
    close = portable.path.forward(tokens.rows(np.array([0])))[0]
    np.testing.assert_allclose(native.path.forward(tokens)[0], close, atol=0.1)
