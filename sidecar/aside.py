"""Work of Python's own that is too long for the event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, TypeVar

_P = ParamSpec("_P")
_R = TypeVar("_R")

# One thread: as soon as the event loop has something to do it has every other turn of the
# interpreter, whereas beside six it would have every seventh.
_THREAD = ThreadPoolExecutor(1, "aside")


async def aside(work: Callable[_P, _R], *args: _P.args, **kwargs: _P.kwargs) -> _R:
    """What `work` gives or raises, while the event loop goes on; one piece of work at a time."""
    return await asyncio.get_running_loop().run_in_executor(_THREAD, lambda: work(*args, **kwargs))
