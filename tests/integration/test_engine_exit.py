"""A program that leaves with work in flight leaves as it wanted to."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

_MODEL = """
    import sys, threading, time
    from rerank_core.artifact import open_named
    from rerank_core.engine import Engine, load_cross_encoder

    model = load_cross_encoder(open_named("student"), sys.argv[1])
    products = ["cordless drill with battery and case " * 20] * 400
"""


def leave(script: str, path: str) -> int:
    """The exit code of a program that is given the name of a numeric path."""
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(_MODEL) + textwrap.dedent(script), path],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    print(done.stderr[-2000:])  # noqa: T201  of a failure
    return done.returncode


@pytest.mark.parametrize("path", ["native", "onnxruntime"])
def test_leaving_without_closing_the_engine(path):
    """Both workers compute, hundreds of rows wait: the last units are finished, no rows are."""
    script = """
        engine = Engine(2)
        streams = [engine.submit(model, "drill", products) for _ in range(2)]
        for stream in streams:
            next(iter(stream))
        streams = [engine.submit(model, "drill", products) for _ in range(2)]
        sys.exit(7)
    """
    assert leave(script, path) == 7


def test_leaving_a_thread_in_the_kernel():
    """Not the engine's: the model's memory is not taken from it."""
    script = """
        rows = model.text.pairs("drill", products)
        threading.Thread(target=model.path.forward, args=(rows,), daemon=True).start()
        worked_s = time.process_time()
        while time.process_time() < worked_s + 0.1:
            time.sleep(0.01)
        sys.exit(7)
    """
    assert leave(script, "native") == 7
