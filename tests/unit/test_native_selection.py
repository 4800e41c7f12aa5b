"""Whether the native kernel is taken, and what is said about it."""

from __future__ import annotations

import numpy as np
import pytest

from rerank_core.artifact import open_artifact
from rerank_core.engine import load_bi_encoder, load_cross_encoder
from rerank_core.engine.native import NativePath, best_precision
from rerank_core.engine.selection import EncoderSource, select_path
from rerank_core.engine.shape import BertShape
from rerank_core.errors import SetupError
from tests.native_reference import random_weights
from tests.tiny_models import make_bi_encoder, make_cross_encoder

SHAPE = BertShape(2, 64, 4, 128, 50, 512, 2, 1e-12)


def source(shape=SHAPE):
    return EncoderSource(lambda: random_weights(shape), shape)


def test_the_native_kernel_is_taken_and_says_so():
    """Where it runs, it is chosen; the reason names instruction set and error."""
    loaded = select_path(source(), "auto")
    assert loaded.path.name == f"native-{best_precision()}"
    assert not loaded.fallback
    assert loaded.reason.startswith("native kernel on ")
    assert "of fp32 on the built-in sample" in loaded.reason


def test_a_shape_beyond_the_kernel_falls_back():
    """What the kernel refuses runs on ONNX Runtime."""
    loaded = select_path(source(BertShape(1, 16, 1, 65_473, 5, 8, 2, 1e-12)), "auto")
    assert loaded.fallback
    assert "65,472" in loaded.reason


def test_a_kernel_that_computes_wrongly_is_not_used(monkeypatch):
    """The self-test compares numbers: other weights than the reference's do not pass."""
    honest = NativePath.__init__

    def other_weights(self, _weights, *rest, **named):
        honest(self, random_weights(SHAPE, seed=9), *rest, **named)

    monkeypatch.setattr(NativePath, "__init__", other_weights)
    loaded = select_path(source(), "auto")
    assert loaded.fallback
    assert "off fp32" in loaded.reason
    with pytest.raises(SetupError, match="off fp32"):
        select_path(source(), "native")


@pytest.mark.parametrize("kind", ["cross-encoder", "bi-encoder"])
def test_a_model_folder_is_loaded_on_the_path_asked_for(tmp_path, kind):
    """Loading takes the choice, and the model says which path it got and why."""
    make, load = {
        "cross-encoder": (make_cross_encoder, load_cross_encoder),
        "bi-encoder": (make_bi_encoder, load_bi_encoder),
    }[kind]
    artifact = open_artifact(make(tmp_path / "model"))
    native, portable = load(artifact, "native-int8"), load(artifact, "onnxruntime")
    assert (native.numeric_path, native.deterministic) == ("native-int8", True)
    assert "native kernel on" in native.path_reason
    assert portable.numeric_path == "onnxruntime-fp32"
    tokens = native.text.texts(["a red cotton shirt", "blue"])
    close = portable.path.forward(tokens.rows(np.array([0])))[0]
    np.testing.assert_allclose(native.path.forward(tokens)[0], close, atol=0.1)
