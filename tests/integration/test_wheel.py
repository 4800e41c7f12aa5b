"""The wheel: what travels in it."""

from __future__ import annotations

import platform
import shutil
import subprocess
import sys
import zipfile
from email.parser import Parser
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

_BUILD = """
import sys
from scikit_build_core.build import build_wheel
build_wheel(sys.argv[1], {"build-dir": sys.argv[2]})
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """Built from the checkout as it is, outside of it."""
    made = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [sys.executable, "-c", _BUILD, str(made), str(made / "build")],
        cwd=ROOT,
        check=True,
        capture_output=True,
    )
    (path,) = made.glob("*.whl")
    with zipfile.ZipFile(path) as content:
        yield content


def test_what_is_no_python_is_in_the_wheel(wheel):
    """Templates, the student with its own licence, the kernel, the marks of typed packages."""
    names = set(wheel.namelist())
    assert {
        f"rerank_core/cluster/templates/shipped/{leg}.mustache" for leg in ("lexical", "vector")
    } <= {*names}
    student = {path.name for path in (ROOT / "rerank_models/student").iterdir() if path.is_file()}
    assert {"model.safetensors", "rerank_manifest.json", "LICENSE"} <= student
    assert {f"rerank_models/student/{name}" for name in student} <= names
    kernel = any(name.endswith("librerank_native.so") for name in names)
    buildable = platform.machine() in ("x86_64", "AMD64") and shutil.which("c++") is not None
    assert kernel == buildable
    assert {
        f"{name}/py.typed" for name in ("rerank_client", "rerank_core", "rerank_proto")
    } <= names


def test_the_base_needs_the_client_s_packages_alone(wheel):
    """Neither numpy nor onnxruntime nor torch comes with `pip install rerank-sidecar`."""
    (name,) = (name for name in wheel.namelist() if name.endswith(".dist-info/METADATA"))
    needs = Parser().parsestr(wheel.read(name).decode()).get_all("Requires-Dist", [])
    base = {need.split(">")[0].strip() for need in needs if "extra ==" not in need}
    assert base == {"googleapis-common-protos", "grpcio", "grpcio-status", "protobuf"}
