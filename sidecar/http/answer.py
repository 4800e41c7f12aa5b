"""An answer on its way to a client that may be slow to read it."""

from __future__ import annotations

from collections.abc import Mapping

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from sidecar.gate import Room

_PIECE_BYTES = 256 * 1024


class Answer(Response):
    """JSON that counts as under way until its client has it."""

    media_type = "application/json"

    def __init__(self, content: str | bytes, headers: Mapping[str, str], room: Room) -> None:
        super().__init__(content, headers=headers)
        self._room = room

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002
        """Sends it in pieces, each when the one before has left: TLS would buffer all of it."""
        taken = self._room.answered(len(self.body))
        try:
            start = {"status": self.status_code, "headers": self.raw_headers}
            await send({"type": "http.response.start", **start})
            body = memoryview(self.body)
            for at in range(0, len(body), _PIECE_BYTES):
                piece = bytes(body[at : at + _PIECE_BYTES])
                await send({"type": "http.response.body", "body": piece, "more_body": True})
            await send({"type": "http.response.body"})
        finally:
            taken()
