"""When the work of a call must end."""

from __future__ import annotations

import time
from typing import Any

import grpc

from sidecar.config import Settings


def work_deadline(
    context: grpc.aio.ServicerContext[Any, Any], settings: Settings, documents: int = 0
) -> float:
    """Seconds of `time.monotonic` until which a call may compute.

    The caller's deadline, or the default budget where it brought none, less the safety margin of
    an answer with so many documents: one that is ready at the deadline itself comes too late.
    """
    remaining_s = context.time_remaining()
    if remaining_s is None:
        remaining_s = settings.default_budget_ms / 1e3
    margin_s = settings.safety_margin_ms / 1e3
    margin_s += documents * settings.safety_margin_us_per_document / 1e6
    return time.monotonic() + remaining_s - margin_s
