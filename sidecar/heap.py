"""Memory that was needed for a moment, given back to the system."""

from __future__ import annotations

import ctypes


def trim_heap() -> None:
    """Gives back what the C library keeps of freed memory, where it is glibc.

    Loading a model takes its weights in fp32 for a moment, in many small pieces; glibc would keep
    the room for the rest of the process's life.
    """
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
