"""The kernel's build: without a compiler, for an older processor, and under sanitizers."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from rerank_core.engine.native_library import load_library

ROOT = Path(__file__).parents[2]

# Scores of two models on the given library and instruction set, as bytes.
_SCORE = """
import sys
from pathlib import Path
from rerank_core.engine.native import NativePath
from rerank_core.engine.native_library import instruction_sets, load_library
from rerank_core.engine.shape import BertShape
from tests.native_reference import random_rows, random_weights

library = Path(sys.argv[1])
sets = {"int8": "avx2", "int16": "avx2-int16"}
print([instruction_sets(load_library(library), precision) for precision in sets])
for shape in (BertShape(2, 64, 2, 96, 40, 80, 2, 1e-12), BertShape(1, 40, 5, 33, 40, 80, 2, 1e-12)):
    tokens = random_rows(shape, [1, 9, 33, 80])
    for pooling in (None, "mean", "cls"):
        weights = random_weights(shape, outputs=2)
        for precision, name in sets.items():
            path = NativePath(
                weights, shape, pooling, precision=precision, instruction_set=name, library=library
            )
            print(path.forward(tokens).tobytes().hex())
"""


def _configure(build: Path, *options: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["cmake", "-S", str(ROOT), "-B", str(build), *options],
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=False,
    )


def _python(*arguments: str, before: tuple[str, ...] = (), **environment: str) -> str:
    done = subprocess.run(
        [*before, sys.executable, *arguments],
        cwd=ROOT,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    return done.stdout


def test_no_compiler_is_one_clear_word(tmp_path):
    """Configuring succeeds, says what is missing and what happens instead, builds nothing."""
    done = _configure(tmp_path, CXX="/nonexistent/c++")
    assert done.returncode == 0, done.stderr
    assert "No C++ compiler: the native kernel is not built" in done.stderr
    subprocess.run(["cmake", "--build", str(tmp_path)], check=True, capture_output=True)
    assert not list(tmp_path.rglob("*.so"))


def test_another_architecture_is_one_clear_word(tmp_path):
    """The same where the processor is no x86-64."""
    done = _configure(tmp_path, "-DCMAKE_SYSTEM_NAME=Linux", "-DCMAKE_SYSTEM_PROCESSOR=aarch64")
    assert done.returncode == 0, done.stderr
    assert "this is aarch64" in done.stderr


@pytest.mark.long
@pytest.mark.timeout(1800)
def test_an_older_processor_runs_the_kernel():
    """On an emulated Haswell only AVX2 is found, nothing illegal runs, the bits are the same."""
    emulator = shutil.which("qemu-x86_64")
    assert emulator, "qemu-x86_64 is missing; apt-get install qemu-user"
    library = load_library()._name
    here = _python("-c", _SCORE, library)
    there = _python("-c", _SCORE, library, before=(emulator, "-cpu", "Haswell"))
    assert there.splitlines()[0] == "[['avx2'], ['avx2-int16']]"
    assert there.splitlines()[1:] == here.splitlines()[1:]


@pytest.mark.long
@pytest.mark.timeout(1800)
def test_sanitizers_find_nothing(tmp_path):
    """Made-up shapes and every C function under address and undefined-behaviour sanitizers."""
    done = _configure(tmp_path, "-DRERANK_SANITIZE=ON")
    assert done.returncode == 0, done.stderr
    subprocess.run(["cmake", "--build", str(tmp_path)], check=True, capture_output=True)
    (library,) = tmp_path.rglob("librerank_native.so")
    preload = " ".join(
        subprocess.check_output(["c++", f"-print-file-name={name}"], text=True).strip()
        for name in ("libasan.so", "libubsan.so")
    )
    # Python itself leaks by intent; all else is fatal.
    said = _python(
        "-m",
        "tests.native_fuzz",
        str(library),
        "1",
        "60",
        LD_PRELOAD=preload,
        ASAN_OPTIONS="detect_leaks=0",
        UBSAN_OPTIONS="print_stacktrace=1",
    )
    assert said.startswith("done")
