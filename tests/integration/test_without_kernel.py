"""The tests where the native kernel was not built."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

# An editable install finds the library in the build's folder; the source has none.
_COLLECT = """
import sys
import pytest
import rerank_core.engine
rerank_core.engine.__path__ = [sys.argv[1]]
sys.exit(pytest.main(["--collect-only", "-q", "-p", "no:cacheprovider", *sys.argv[2:]]))
"""


def collect(*tests: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", _COLLECT, str(ROOT / "rerank_core/engine"), *tests],
        cwd=ROOT,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=False,
    )


def test_without_a_compiler_the_kernel_s_tests_are_left_out_aloud(tmp_path):
    """One line says so; the portable path's tests are collected."""
    done = collect("tests/unit", CXX="", PATH=str(tmp_path))
    assert done.returncode == 0, done.stdout[-4000:]
    assert done.stdout.count("test_native_* left out, the kernel was not built: no C++") == 1
    assert "tests/unit/test_native_" not in done.stdout
    assert "tests/unit/test_static_int8.py::" in done.stdout


def test_beside_a_compiler_a_missing_kernel_is_a_fault(tmp_path):
    """Nothing is left out in silence: collecting fails, and the message has the mend."""
    compiler = tmp_path / "c++"
    compiler.touch(mode=0o755)
    done = collect("tests/unit/test_native_path.py", CXX="", PATH=str(tmp_path))
    assert done.returncode == pytest.ExitCode.INTERRUPTED
    assert "the native kernel was not built with this package; install g++" in done.stdout
    assert "left out" not in done.stdout
