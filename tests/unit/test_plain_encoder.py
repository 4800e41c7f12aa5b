"""The yardstick of every path, itself held against another implementation in float64."""

from __future__ import annotations

import math
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

from rerank_core.engine.plain import _gelu, plain_outputs
from rerank_core.engine.shape import BertShape
from tests.native_reference import Reference, random_rows, random_weights

SHAPE = BertShape(3, 64, 4, 128, 50, 40, 2, 1e-12)
LENGTHS = [1, 4, 40, 17, 17]

# What a server is that computes on the native kernel: everything up to SERVING but the sockets.
LOADED = """
import sys
import sidecar.__main__, sidecar.server
from rerank_core.engine import Engine
from sidecar.config import ModelSettings
from sidecar.models import load_models
with Engine(1) as engine:
    path = load_models(ModelSettings(), engine).reranker().model.numeric_path
heavy = ("onnx", "onnxruntime", "opensearchpy", "scipy", "sklearn", "torch", "transformers")
print(path, *(name for name in heavy if name in sys.modules))
"""


@pytest.mark.parametrize(
    ("pooling", "pooler"), [(None, True), (None, False), ("cls", True), ("mean", True)]
)
def test_it_computes_what_float64_does(pooling, pooler):
    """Within what float32 can tell apart, whatever rows stand beside each other."""
    shape = replace(SHAPE, pooler=pooler)
    weights, rows = random_weights(shape, seed=3, outputs=2), random_rows(shape, LENGTHS)
    wanted = Reference(weights, shape, pooling, precision=None).forward(rows)
    found = plain_outputs(weights, shape, pooling, rows)
    assert found.dtype == np.float32
    assert found.shape == wanted.shape == (5, 2 if pooling is None else 64)
    np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-4 * np.abs(wanted).max())


def test_the_activation_is_the_exact_one():
    """GELU by the error function, not by the hyperbolic tangent, which is off by up to 5e-4."""
    x = np.linspace(-6, 6, 2001, dtype=np.float32)
    wanted = [float(number) * 0.5 * math.erfc(-float(number) / math.sqrt(2)) for number in x]
    np.testing.assert_allclose(_gelu(x), wanted, atol=2e-6)


def test_a_start_waits_for_no_library_that_it_does_not_compute_with():
    """Neither ONNX Runtime nor a cluster's client is imported where the kernel serves alone."""
    told = subprocess.run(
        [sys.executable, "-c", LOADED], capture_output=True, text=True, check=True, timeout=120
    ).stdout.splitlines()[-1]
    path, *imported = told.split()
    if not path.startswith("native"):
        pytest.skip(f"this machine computes on {path}")
    assert imported == []
