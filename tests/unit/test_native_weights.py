"""What is done to weights before the native kernel has them."""

from __future__ import annotations

import numpy as np
import pytest

from rerank_core.engine.native_weights import (
    quantise_weight,
    read_smoothing,
    smoothing_factors,
)
from rerank_core.engine.shape import BertShape
from rerank_core.errors import ArtifactError

SHAPE = BertShape(2, 2, 1, 4, 10, 8, 2, 1e-12)


def test_quantise_weight_by_hand():
    """An output's largest weight becomes 127, an output of zeros stays zero with a finite scale."""
    rounded, scales = quantise_weight(np.float32([[0.5, -1.27, 0.005], [0, 0, 0]]))
    assert rounded.tolist() == [[50, -127, 0], [0, 0, 0]]
    assert scales[0] == pytest.approx(0.01)
    assert np.isfinite(scales).all()


def test_smoothing_factors_by_hand():
    """A channel 16 times as loud with equal weights is divided by 4 times as much."""
    weight = np.float32([[1.0, 1.0], [-2.0, 2.0]])
    factors = smoothing_factors(np.float32([16.0, 1.0]), weight)
    # sqrt(16 / 1) and sqrt(1 / 1), over their geometric mean 2.
    assert factors.tolist() == pytest.approx([2.0, 0.5])


def test_smoothing_keeps_the_product():
    """Dividing the input and multiplying the weights changes nothing in real numbers."""
    random = np.random.default_rng(0)
    weight, x = random.normal(size=(5, 8)).astype(np.float32), random.normal(size=8)
    factors = smoothing_factors(np.abs(x).astype(np.float32), weight)
    np.testing.assert_allclose((weight * factors) @ (x / factors), weight @ x, rtol=1e-5)


def test_no_quantisation_means_no_smoothing():
    """A manifest without calibration is used with ones."""
    assert read_smoothing(None, SHAPE) is None


@pytest.mark.parametrize(
    "quantisation",
    [
        {},
        {"layers": [{"attention_input": [1.0, 2.0]}] * 2},
        {"layers": [{"attention_input": [1.0], "ffn_input": [1.0, 2.0]}] * 2},
        {"layers": [{"attention_input": [1.0, -1.0], "ffn_input": [1.0, 2.0]}] * 2},
        {"layers": [{"attention_input": [1.0, float("inf")], "ffn_input": [1.0, 2.0]}] * 2},
        {"layers": [{"attention_input": ["a", "b"], "ffn_input": [1.0, 2.0]}] * 2},
        {"layers": [{"attention_input": [1.0, 2.0], "ffn_input": [1.0, 2.0]}]},
        {"layers": 3},
    ],
)
def test_calibration_that_does_not_fit_is_refused(quantisation):
    """Missing, misshapen, negative, infinite or too few magnitudes name the manifest."""
    with pytest.raises(ArtifactError, match="quantisation"):
        read_smoothing(quantisation, SHAPE)
