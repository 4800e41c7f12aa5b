"""The log: one JSON object a line."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Callable
from typing import Any

import orjson
import structlog
from structlog.typing import Processor


def configure_logs() -> None:
    """Sends our events, and what the libraries below warn of, to stdout as JSON lines.

    A line that cannot be written is lost, and what was to be logged goes on.
    """
    of_every_event: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
    ]
    render = structlog.processors.JSONRenderer(serializer=_json)
    # Ours are rendered before they reach the handler: a line a call, also of those that are shed.
    structlog.configure(
        processors=[*of_every_event, render],
        wrapper_class=structlog.stdlib.BoundLogger,
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )
    of_libraries = logging.StreamHandler(sys.stdout)
    of_libraries.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=of_every_event,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, render],
        )
    )
    logging.basicConfig(level=logging.WARNING, handlers=[of_libraries])
    of_ours = logging.StreamHandler(sys.stdout)
    of_ours.setFormatter(_Rendered())
    ours = logging.getLogger("sidecar")
    ours.setLevel(logging.INFO)
    ours.addHandler(of_ours)
    ours.propagate = False


class _Rendered(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        """The line as it came; the trace of an exception is in it."""
        return record.getMessage()


def _json(event: Any, default: Callable[[Any], Any]) -> str:
    try:
        return orjson.dumps(event, default=default).decode()
    except orjson.JSONEncodeError:  # a lone surrogate, a number of more than 64 bits
        return json.dumps(event, default=default)
