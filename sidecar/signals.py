"""What the process does on SIGTERM, SIGINT and SIGHUP."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable
from typing import Self

_STOPS = (signal.SIGTERM, signal.SIGINT)


def end_on_stops() -> None:
    """From now on SIGTERM and SIGINT end the process at once, with the exit code of a shell's.

    As the system does it where it does: it needs no Python that still runs, and Python's own
    handler of SIGINT would raise KeyboardInterrupt amid whatever is done. But no signal without a
    handler ends process 1, which is what a container starts.
    """
    for number in _STOPS:
        signal.signal(number, _end if os.getpid() == 1 else signal.SIG_DFL)


def _end(number: int, _: object) -> None:
    os._exit(128 + number)


class Signals:
    """SIGTERM and SIGINT set `stop`, SIGHUP calls `on_reload`, until the first stop."""

    def __init__(self) -> None:
        self.stop = asyncio.Event()
        self.on_reload: Callable[[], object] = lambda: None

    def __enter__(self) -> Self:
        """Takes them from the system."""
        loop = asyncio.get_running_loop()
        for number in _STOPS:
            loop.add_signal_handler(number, self._on_stop)
        loop.add_signal_handler(signal.SIGHUP, self._on_hangup)
        return self

    def __exit__(self, *_: object) -> None:
        """As `give_back`."""
        self.give_back()

    def give_back(self) -> None:
        """A second stop ends the process; amid a drain there is nothing to reload."""
        loop = asyncio.get_running_loop()
        for number in _STOPS:
            loop.remove_signal_handler(number)
        end_on_stops()
        loop.remove_signal_handler(signal.SIGHUP)
        signal.signal(signal.SIGHUP, signal.SIG_IGN)

    def _on_stop(self) -> None:
        self.stop.set()
        self.give_back()

    def _on_hangup(self) -> None:
        self.on_reload()
