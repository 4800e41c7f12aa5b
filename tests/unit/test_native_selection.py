"""Whether the native kernel is taken, and what is said about it."""

from __future__ import annotations

import numpy as np
import pytest

from rerank_core.artifact import open_artifact
from rerank_core.engine import load_bi_encoder, load_cross_encoder, native_library, selection
from rerank_core.engine.native import NativePath, best_precision
from rerank_core.engine.native_library import precision_of
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


_VNNI = ["avx512-vnni", "avx2", "avx2-int16"]


@pytest.mark.parametrize(
    ("sets", "choice", "name"),
    [
        (["avx2", "avx2-int16"], "auto", "native-int16"),
        (["avx2", "avx2-int16"], "native", "native-int16"),
        (["avx2", "avx2-int16"], "native-int8", "native-int8"),
        (_VNNI, "auto", "native-int8"),
        (_VNNI, "native", "native-int8"),
        (_VNNI, "native-int16", "native-int16"),
    ],
)
def test_int16_is_taken_unasked_where_there_is_avx2_alone(monkeypatch, sets, choice, name):
    """Where bytes are multiplied faster they are; either can be asked for by its name."""
    found = []

    def usable(_library, precision="int8"):
        return [one for one in sets if precision_of(one) == precision]

    def built(self, _weights, _shape, _pooling=None, *, precision="int8"):
        found.append(f"native-{precision}")
        raise SetupError("far enough")

    monkeypatch.setattr(native_library, "instruction_sets", usable)
    monkeypatch.setattr(NativePath, "__init__", built)
    if choice == "auto":
        assert select_path(source(), choice).fallback
    else:
        with pytest.raises(SetupError, match="far enough"):
            select_path(source(), choice)
    assert found == [name]


def test_an_int16_kernel_as_coarse_as_int8_is_not_used(monkeypatch):
    """Each precision has a bound of its own at the start."""
    honest = NativePath.__init__

    def coarse(self, *rest, **_):
        honest(self, *rest, precision="int8")
        self.name = "native-int16"

    monkeypatch.setattr(NativePath, "__init__", coarse)
    monkeypatch.setattr(selection, "relative_error", lambda *_: 0.06)
    with pytest.raises(SetupError, match="off fp32 by 6%"):
        select_path(source(), "native-int16")


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
