"""Whether scores are those of the same model: what is not is not timed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np

from benchmarks.engine.scoring import Logits

Arithmetic = Literal["fp32", "reduced"]

# fp32 differs in the order of additions alone. int8 and bf16 move a score, but not by the size of
# what tells candidates apart: then it is another model, and its speed is of no interest.
_FP32_TOLERANCE = 0.01
_REDUCED_TOLERANCE = 0.5


class ParityError(Exception):
    """Scores are not those of the same model."""


def require_parity(
    found: Sequence[Logits], wanted: Sequence[Logits], arithmetic: Arithmetic
) -> float:
    """The largest absolute difference to our fp32. Raises `ParityError` where it is too large.

    ``fp32`` may be off by 0.01; ``reduced`` arithmetic, root mean square, by half the standard
    deviation of the scores.
    """
    one, other = (np.concatenate(scores).astype(np.float64) for scores in (found, wanted))
    most = float(np.abs(one - other).max())
    if arithmetic == "fp32":
        if not most <= _FP32_TOLERANCE:  # NaN must not pass
            raise ParityError(f"logits differ from our fp32 by up to {most:.4f}")
        return most
    share = float(np.sqrt(((one - other) ** 2).mean()) / max(other.std(), 1e-30))
    if not share <= _REDUCED_TOLERANCE:
        raise ParityError(
            f"logits differ from our fp32 by {share:.0%} of their standard deviation "
            f"(by up to {most:.4f})"
        )
    return most
