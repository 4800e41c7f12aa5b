"""The process's memory once models are loaded."""

from __future__ import annotations

import ctypes
import gc

# A request of a hundred documents has a thousand objects at once, hardly one of them in a cycle:
# the usual 700 would have them looked through at every request. Many more, and what calls that
# failed leave in cycles, their requests with it, would be kept for long.
_YOUNG_OBJECTS = 2_000


def settle_heap() -> None:
    """Gives back what was needed for the moment of loading, and takes the rest as there to stay.

    Loading a model takes its weights in fp32 for a moment, in many small pieces; glibc, where it is
    glibc, would keep the room for the rest of the process's life. And the collector need not go
    through modules and models each time: requests wait for that, some 30 ms. After a swap it does
    once, for what the old models may have left in cycles.
    """
    gc.unfreeze()
    gc.collect()
    gc.freeze()
    gc.set_threshold(_YOUNG_OBJECTS, *gc.get_threshold()[1:])
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
