"""The log: one JSON object a line."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import orjson
import structlog
from structlog.typing import Processor

from sidecar.telemetry.outlet import Outlet

_CLOSING_S = 2.0


@contextmanager
def logging_to_stdout() -> Iterator[Outlet]:
    """Sends our events, and what the libraries below warn of, to stdout as JSON lines.

    A line that cannot be written is lost, and what was to be logged goes on. At the end all that
    was logged is written, where somebody reads it.
    """
    outlet = Outlet(sys.stdout.fileno())
    _send_to(outlet)
    try:
        yield outlet
    finally:
        outlet.close(_CLOSING_S)


def _send_to(outlet: Outlet) -> None:
    _OURS.outlet = outlet
    of_every_event: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
    ]
    render = structlog.processors.JSONRenderer(serializer=_json)
    # Ours go straight there, past the standard library: a line a call, also of those that are shed.
    structlog.configure(
        processors=[*of_every_event, render],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=lambda *_: _OURS,
        cache_logger_on_first_use=True,
    )
    of_libraries = _Lines(outlet)
    of_libraries.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=of_every_event,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, render],
        )
    )
    logging.basicConfig(level=logging.WARNING, handlers=[of_libraries])


class _Ours:
    """Where a rendered line of ours goes, whatever its level."""

    outlet: Outlet

    def info(self, line: str) -> None:
        """Hands it over."""
        self.outlet.put(line)

    debug = warning = error = critical = info


# One for all loggers, which keep what they were given: another outlet takes the place of the last.
_OURS = _Ours()


class _Lines(logging.Handler):
    def __init__(self, outlet: Outlet) -> None:
        super().__init__()
        self._outlet = outlet

    def emit(self, record: logging.LogRecord) -> None:
        """Hands the line over. What is wrong with it is not for whoever logs."""
        try:
            self._outlet.put(self.format(record))
        except Exception:  # noqa: BLE001  as every handler of the standard library does
            self.handleError(record)


def _json(event: Any, default: Callable[[Any], Any]) -> str:
    try:
        return orjson.dumps(event, default=default).decode()
    except orjson.JSONEncodeError:  # a lone surrogate, a number of more than 64 bits
        return json.dumps(event, default=default)
