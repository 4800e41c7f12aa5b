"""Scores that every JSON client tells apart: six decimals, falling, distinct as float32."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

_MILLION = 1_000_000


def shares(probabilities: Sequence[float | None]) -> list[str]:
    """Scores between 0 and 1 for documents in the order of the answer, as decimal numbers.

    None stands for a document that was not scored; all of those come last. In whole millionths:
    each is at least one below the one before and leaves room for those behind it. Between 0 and 1
    float32 tells millionths apart.
    """
    behind = len(probabilities)
    above = _MILLION + 1
    written = []
    for probability in probabilities:
        behind -= 1
        wanted = round((probability or 0.0) * _MILLION)
        above = min(max(wanted, behind), above - 1)
        written.append(_decimal(above))
    return written


def raw(logits: Sequence[float | None]) -> list[str]:
    """The same for logits, which may be any finite number.

    One that float32 could not tell from the one before is written that much lower.
    """
    above: int | None = None
    written = []
    for logit in logits:
        if logit is not None:
            wanted = round(logit * _MILLION)
        else:
            wanted = _below(above) if above is not None else 0
        if above is not None and np.float32(wanted / _MILLION) >= np.float32(above / _MILLION):
            wanted = _below(above)
        written.append(_decimal(wanted))
        above = wanted
    return written


def _below(millionths: int) -> int:
    """The largest number of millionths that is a smaller float32."""
    value = np.float32(millionths / _MILLION)
    lower = math.floor(float(np.nextafter(value, np.float32(-np.inf))) * _MILLION)
    while np.float32(lower / _MILLION) >= value:
        lower -= 1
    return min(lower, millionths - 1)


def _decimal(millionths: int) -> str:
    sign = "-" if millionths < 0 else ""
    whole, rest = divmod(abs(millionths), _MILLION)
    return f"{sign}{whole}.{rest:06d}"
