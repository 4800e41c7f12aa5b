"""When the work of a call must end."""

from __future__ import annotations

import time

from sidecar.config import Settings


def work_deadline(remaining_s: float | None, settings: Settings, documents: int = 0) -> float:
    """Seconds of `time.monotonic` until which a call may compute.

    What the caller has left, or the default budget where it did not say, less the safety margin of
    an answer with so many documents: one that is ready at the deadline itself comes too late.
    """
    if remaining_s is None:
        remaining_s = settings.default_budget_ms / 1e3
    margin_s = settings.safety_margin_ms / 1e3
    margin_s += documents * settings.safety_margin_us_per_document / 1e6
    return time.monotonic() + remaining_s - margin_s
