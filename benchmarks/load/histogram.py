"""Latencies as HDR histograms: three significant digits from a microsecond to an hour.

They add up over runs, which percentiles do not, and travel in the interchange form (base64) that
other HdrHistogram tools read. Unit of the recorded values: microseconds.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hdrh.histogram import HdrHistogram

from rerank_core.errors import ConfigError

_LEAST_US, _MOST_US, _DIGITS = 1, 3_600_000_000, 3


def histogram(values_ms: Sequence[float]) -> str:
    """The values' histogram in interchange form."""
    made = HdrHistogram(_LEAST_US, _MOST_US, _DIGITS)
    for value_ms in values_ms:
        made.record_value(min(max(round(value_ms * 1e3), _LEAST_US), _MOST_US))
    return str(made.encode().decode("ascii"))


def merged(histograms: Sequence[str]) -> str:
    """All of them as one. Raises `ConfigError` for what is no histogram."""
    whole = HdrHistogram(_LEAST_US, _MOST_US, _DIGITS)
    for one in histograms:
        whole.add(_decoded(one))
    return str(whole.encode().decode("ascii"))


def count(encoded: str) -> int:
    """How many values it holds."""
    return int(_decoded(encoded).get_total_count())


def percentile_ms(encoded: str, percent: float) -> float:
    """The value that so many per cent do not pass, to three digits."""
    return float(_decoded(encoded).get_value_at_percentile(percent)) / 1e3


def _decoded(encoded: str) -> Any:
    try:
        return HdrHistogram.decode(encoded.encode("ascii"))
    except Exception as error:
        # The library raises whatever its base64, zlib and struct raise.
        raise ConfigError("not an HDR histogram in its interchange form") from error
