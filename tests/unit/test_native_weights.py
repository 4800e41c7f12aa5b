"""What is done to weights before the native kernel has them."""

from __future__ import annotations

import numpy as np
import pytest

from rerank_core.engine.native_weights import quantise_weight, rotate


def test_quantise_weight_by_hand():
    """An output's largest weight becomes 127, an output of zeros stays zero with a finite scale."""
    rounded, scales = quantise_weight(np.float32([[0.5, -1.27, 0.005], [0, 0, 0]]))
    assert rounded.tolist() == [[50, -127, 0], [0, 0, 0]]
    assert scales[0] == pytest.approx(0.01)
    assert np.isfinite(scales).all()


def test_rotation_by_hand():
    """One loud channel becomes its block's 64 equal ones; the block beside it hears nothing."""
    row = np.zeros((1, 128), np.float32)
    row[0, 3] = 64.0
    turned = rotate(row)
    assert np.abs(turned[0, :64]).tolist() == [1.0] * 64
    assert not turned[0, 64:].any()
    # Column 3 of Hadamard's matrix: minus where an odd number of bits is shared with 3.
    assert turned[0, :8].tolist() == [1, -1, -1, 1, 1, -1, -1, 1]


def test_rotation_keeps_products():
    """Turned inputs (64 times as large) and turned weights have the products of those as given."""
    random = np.random.default_rng(0)
    weight = random.normal(size=(5, 192)).astype(np.float32)
    x = random.standard_t(2, size=(7, 192)).astype(np.float32)
    np.testing.assert_allclose(
        (rotate(x) * 64).astype(np.float64) @ rotate(weight).T, x @ weight.T, rtol=1e-3, atol=1e-3
    )
