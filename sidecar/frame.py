"""What surrounds every call on either surface: who calls, limits, one line, metrics, a span."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

import structlog
from google.rpc import code_pb2

from rerank_core.errors import ClusterError, InputError, RerankError
from sidecar.config import Limits
from sidecar.gate import Gate, Room
from sidecar.live import Live
from sidecar.security.caller import current_caller
from sidecar.stages import Stages
from sidecar.status import to_status
from sidecar.telemetry.metrics import Metrics
from sidecar.telemetry.traces import Span, Traces

_log = structlog.get_logger()
_stages: ContextVar[Stages | None] = ContextVar("stages", default=None)


@dataclass(frozen=True, slots=True)
class Incoming:
    """A call as it comes in."""

    surface: str
    """``grpc`` or ``http``."""
    rpc: str
    headers: Mapping[str, str]
    """Or metadata, by lower-case name."""
    address: str
    """The peer's, without its port."""
    last: bool = False
    """It is answered while the server stops, too."""


class CallerGone(Exception):
    """Nobody waits for the answer any more."""


def note(**facts: object) -> None:
    """Adds facts to the log line of the call that is being answered; never texts of a caller."""
    structlog.contextvars.bind_contextvars(**facts)


def note_stages(stages: Stages) -> None:
    """The call's stages, while they are empty: a call that fails shows those it reached."""
    _stages.set(stages)
    note(stages=stages.ms)


class Frame:
    """Lets the answering code just return or raise. One a server."""

    def __init__(self, live: Live, gate: Gate, metrics: Metrics, traces: Traces) -> None:
        self._live = live
        self._gate = gate
        self._metrics = metrics
        self._traces = traces

    @property
    def limits(self) -> Limits:
        """What one request may ask for, at the moment."""
        return self._live.settings.limits

    @property
    def is_stopping(self) -> bool:
        """Whether calls are answered no more, but for those that are under way."""
        return self._gate.closed

    @contextmanager
    def around(self, call: Incoming) -> Iterator[Room]:
        """One call, and the room for its request. What it raises passes on, told and counted.

        Raises `UnauthenticatedError`, `NotReadyError` and `OverloadError` before the call begins.
        """
        # Each call runs in a task of its own, so its facts are not another call's.
        structlog.contextvars.clear_contextvars()
        _stages.set(None)
        began = time.perf_counter()
        span = self._traces.begin(call.rpc, call.headers)
        error: BaseException | None = None
        try:
            standing = self._live.standing
            caller = standing.keys.caller(call.headers.get("authorization", ""), call.address)
            current_caller.set(caller)
            note(client=caller.name)
            limits = standing.settings.limits
            with self._gate.inside(limits, caller.name, last=call.last) as room:
                yield room
        except BaseException as raised:
            error = raised
            if not isinstance(raised, RerankError | CallerGone | asyncio.CancelledError):
                _log.exception("bug", rpc=call.rpc)
            raise
        finally:
            self._end(call, span, began, error)

    def _end(self, call: Incoming, span: Span, began: float, error: BaseException | None) -> None:
        total_s = time.perf_counter() - began
        facts: dict[str, Any] = structlog.contextvars.get_contextvars()
        status, told = _outcome(error)
        self._metrics.count(call.surface, call.rpc, status, total_s, facts)
        span.end(status, facts, _stages.get())
        if span.trace_id is not None:
            told["trace_id"] = span.trace_id
        _log.info(
            "call",
            surface=call.surface,
            rpc=call.rpc,
            status=status,
            total_ms=round(total_s * 1e3, 3),
            **told,
        )


def _outcome(error: BaseException | None) -> tuple[str, dict[str, object]]:
    """The status of a call, and what the log says of its error."""
    if error is None:
        return "OK", {}
    if isinstance(error, RerankError):
        status = to_status(error)
        return code_pb2.Code.Name(status.code), {"error": _told(error, status.message)}
    if isinstance(error, Exception) and not isinstance(error, CallerGone):
        return "INTERNAL", {}
    return "CANCELLED", {}


def _told(error: RerankError, message: str) -> str:
    """What the log says of an error. Some quote the query or another text of the caller."""
    if isinstance(error, ClusterError):
        return type(error).__name__
    if isinstance(error, InputError):
        return f"InputError at {error.field}"
    return message
