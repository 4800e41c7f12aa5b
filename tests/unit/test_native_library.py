"""A library that was built from other sources is never called."""

from __future__ import annotations

import subprocess

import pytest

from index_builder.plan import open_encoder
from rerank_core.engine import native_library
from rerank_core.engine.native_library import load_library
from rerank_core.engine.selection import EncoderSource, select_path
from rerank_core.engine.shape import BertShape
from rerank_core.errors import ToolMissingError
from tests.native_reference import random_weights
from tests.tiny_models import make_bi_encoder

SHAPE = BertShape(2, 64, 4, 128, 50, 512, 2, 1e-12)


def compiled(folder, source):
    (folder / "stale.c").write_text(source)
    library = folder / "librerank_native.so"
    subprocess.run(
        ["cc", "-shared", "-fPIC", "-o", str(library), str(folder / "stale.c")], check=True
    )
    return library


@pytest.mark.parametrize(
    ("source", "told"),
    [
        ("int rerank_encoder_outputs(void) { return 0; }", "its interface is none"),
        ('const char* rerank_interface(void) { return "1,8,8"; }', "its interface is 1,8,8,"),
    ],
)
def test_a_library_of_other_sources_is_refused(tmp_path, source, told):
    """By what it tells of itself; it is not called any further."""
    with pytest.raises(ToolMissingError, match=f"{told}.* is needed; rebuild it"):
        load_library(compiled(tmp_path, source))


def test_a_stale_library_is_a_loud_fallback(tmp_path, monkeypatch):
    """Under auto ONNX Runtime takes over, and the reason names the library and the mend."""
    stale = compiled(tmp_path, "int rerank_encoder_outputs(void) { return 0; }")
    monkeypatch.setattr(native_library, "load_library", lambda _=None: load_library(stale))
    loaded = select_path(EncoderSource(lambda: random_weights(SHAPE), SHAPE), "auto")
    assert (loaded.path.name, loaded.fallback) == ("onnxruntime-fp32", True)
    assert "librerank_native.so: was built from other sources" in loaded.reason


def test_an_index_builder_without_the_kernel_says_so(tmp_path, monkeypatch, caplog):
    """Its vectors are then made on another path, and later: a warning names path and reason."""
    stale = compiled(tmp_path, "int rerank_encoder_outputs(void) { return 0; }")
    folder = str(make_bi_encoder(tmp_path / "bi"))
    open_encoder(folder)
    assert not [record for record in caplog.records if record.levelname == "WARNING"]
    monkeypatch.setattr(native_library, "load_library", lambda _=None: load_library(stale))
    open_encoder(folder)
    (warning,) = [record for record in caplog.records if record.levelname == "WARNING"]
    assert "model bi computes on onnxruntime-fp32: ONNX Runtime in place" in warning.getMessage()
