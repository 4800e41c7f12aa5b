"""Connections that are cut where their client is too slow, too many or too talkative."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any

from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

_MAX_HEAD_BYTES = 65536
_MOST_UNSENT_BYTES = 65536

# A full house must not look like a dead one: a probe that is turned away restarts the server.
_FOR_OPERATORS = (b"/health", b"/ready", b"/metrics")
_SPARE_CONNECTIONS = 16
_SPARE_S = 1.0


@dataclass(frozen=True, slots=True)
class Patience:
    """What a client is allowed."""

    request_s: float
    """To send a request, and to read what is written."""
    max_connections: int
    """More are told nothing, but for those that ask how the server is."""


class PatientProtocol(HttpToolsProtocol):
    """uvicorn's protocol with an end to its patience: it has none for a request's arrival."""

    def __init__(self, config: Config, server_state: ServerState, patience: Patience) -> None:
        super().__init__(config, server_state, {})
        self._patience = patience
        self._arriving: asyncio.TimerHandle | None = None
        self._leaving: asyncio.TimerHandle | None = None
        self._head_bytes = 0
        self._in_head = True
        self._begun = False
        """A request has come in part."""
        self._spare = False
        """Beyond the cap."""

    def connection_made(self, transport: Any) -> None:
        """Refuses one too many; a few more may still ask how the server is."""
        super().connection_made(transport)
        transport.set_write_buffer_limits(_MOST_UNSENT_BYTES, 0)  # to resume is to have sent all
        beyond = len(self.connections) - self._patience.max_connections
        self._spare = beyond > 0
        if beyond > _SPARE_CONNECTIONS:
            transport.abort()
        self._expect()

    def connection_lost(self, exc: Exception | None) -> None:
        """Timers hold on to a connection, and uvicorn keeps its own where one broke."""
        super().connection_lost(exc)
        self._unset_keepalive_if_required()
        for timer in (self._arriving, self._leaving):
            if timer is not None:
                timer.cancel()

    def data_received(self, data: bytes) -> None:
        """Bytes of a request, which has so long to be complete."""
        if self._in_head:
            self._head_bytes += len(data)
        super().data_received(data)
        if self._in_head and self._head_bytes > _MAX_HEAD_BYTES:
            self.send_400_response("The request's headers are too large.")
        self._expect_what_is_missing()

    def on_response_complete(self) -> None:
        """The next request may have begun behind the one that is answered now."""
        super().on_response_complete()
        if not self.flow.write_paused:
            self._has_read()
        if self._begun:
            self._expect_what_is_missing()

    def on_message_begin(self) -> None:
        """The first byte of a request."""
        self._begun = True
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """A request's body follows."""
        self._in_head = False
        if self._spare and self.url.partition(b"?")[0] not in _FOR_OPERATORS:
            self._cut()
            return
        super().on_headers_complete()
        if self._spare and self.cycle is not None:
            self.cycle.keep_alive = False

    def on_body(self, body: bytes) -> None:
        """Nobody reads that of a request that was cut."""
        if not self.transport.is_closing():
            super().on_body(body)

    def on_message_complete(self) -> None:
        """The request is whole."""
        if self.transport.is_closing():
            return
        if self._arriving is not None:
            self._arriving.cancel()
            self._arriving = None
        self._in_head, self._head_bytes, self._begun = True, 0, False
        super().on_message_complete()

    def pause_writing(self) -> None:
        """The client does not read. From the first time on it has so long for the answer."""
        super().pause_writing()
        if self._leaving is None:
            self._leaving = self.loop.call_later(self._patience.request_s, self._cut)

    def resume_writing(self) -> None:
        """It has read, though more of the answer may follow."""
        super().resume_writing()
        cycle = self.cycle
        follows = cycle is not None and cycle.response_started and not cycle.response_complete
        if not follows and not self.pipeline:
            self._has_read()

    def _has_read(self) -> None:
        if self._leaving is not None:
            self._leaving.cancel()
            self._leaving = None

    def timeout_keep_alive_handler(self) -> None:
        """Idle for too long. Not closed in form: a client that does not read would keep it open."""
        self._cut()

    def _expect_what_is_missing(self) -> None:
        """Not while the server works at what is whole, and once a request."""
        at_work = self.cycle is not None and not (
            self.cycle.response_complete or self.cycle.more_body
        )
        if self._arriving is None and not at_work and not self.pipeline:
            self._expect()

    def _expect(self) -> None:
        patience_s = min(self._patience.request_s, _SPARE_S) if self._spare else None
        self._arriving = self.loop.call_later(patience_s or self._patience.request_s, self._cut)

    def _cut(self) -> None:
        self.transport.abort()
