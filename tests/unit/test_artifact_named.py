"""Models that have a name."""

from __future__ import annotations

from pathlib import Path

import pytest

from rerank_core.artifact import named, named_folder, open_artifact, open_named
from rerank_core.errors import ArtifactError


@pytest.mark.parametrize(("name", "kind"), [("student", "cross-encoder"), ("minilm", "bi-encoder")])
def test_named_models_are_found_without_a_path(name, kind):
    assert open_artifact(named_folder(name)).manifest.kind == kind


def test_what_is_no_name_is_a_path(monkeypatch):
    monkeypatch.setenv("HOME", "/home/shop")
    assert named_folder("models/own") == Path("models/own")
    assert named_folder("~/own") == Path("/home/shop/own")


def test_a_package_that_is_not_installed_is_named_with_its_command(monkeypatch):
    monkeypatch.setitem(named._PACKAGED, "minilm", ("no_such_package_here", "model"))
    with pytest.raises(ArtifactError, match=r"no_such_package_here is not installed; pip install"):
        named_folder("minilm")


def test_a_model_with_a_name_bears_it():
    """Its folder may be called anything; a folder of one's own keeps its manifest."""
    assert named_folder("minilm").name == "model"
    assert open_named("minilm").manifest.name == "minilm"
    by_path = open_named(str(named_folder("minilm")))
    assert by_path.manifest.name == "model"
    assert by_path.manifest.model_hash == open_named("minilm").manifest.model_hash
