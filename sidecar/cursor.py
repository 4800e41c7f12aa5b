"""Page tokens: the rest of a whole result, signed, so that any server can give the next page."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from rerank_core.errors import InputError
from rerank_core.hashing import hash_json

_FIELD = "page_token"
_SIGNATURE_BYTES = 16


@dataclass(frozen=True, slots=True)
class Cursor:
    """Where a page begins, and all that stands from there on."""

    index: str
    """The concrete index of the first page."""
    query_hash: str
    """Over everything that decides the result, so that a token fits one query."""
    offset: int
    """Of the page's first hit in the whole result, from 0."""
    rest: tuple[Any, ...] = ()
    """The hits from there on, as JSON."""
    about: Mapping[str, Any] = field(default_factory=dict)
    """What every page says of the whole result, as JSON."""


class CursorSigner:
    """Writes and reads page tokens; servers with one key read each other's."""

    def __init__(self, key: bytes) -> None:
        self._key = key

    def write(self, cursor: Cursor) -> str:
        """An opaque token in the URL-safe alphabet; some 40 bytes a hit of the rest."""
        parts = [cursor.index, cursor.query_hash, cursor.offset, cursor.rest, cursor.about]
        body = zlib.compress(json.dumps(parts, separators=(",", ":")).encode())
        return base64.urlsafe_b64encode(self._sign(body) + body).rstrip(b"=").decode()

    def read(self, token: str, query_hash: str) -> Cursor:
        """The cursor in a token for this query. Raises `InputError` on any other token."""
        try:
            raw = base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True)
        except ValueError as error:
            raise InputError(_FIELD, "is no page token; pass the one of the page before") from error
        signature, body = raw[:_SIGNATURE_BYTES], raw[_SIGNATURE_BYTES:]
        # Before anything of it is unpacked: what we signed is no bomb.
        if not hmac.compare_digest(signature, self._sign(body)):
            raise InputError(_FIELD, "was not signed by this server; begin at the first page")
        try:
            index, signed_hash, offset, rest, about = json.loads(zlib.decompress(body))
        except (TypeError, ValueError, zlib.error) as error:  # signed by another version
            raise InputError(_FIELD, "is of another version; begin at the first page") from error
        if signed_hash != query_hash:
            raise InputError(
                _FIELD,
                "is for another query, profile or cross-encoder; all that decides the order stays "
                "the same over pages",
            )
        return Cursor(index, signed_hash, offset, tuple(rest), about)

    def _sign(self, body: bytes) -> bytes:
        return hmac.new(self._key, body, hashlib.sha256).digest()[:_SIGNATURE_BYTES]


def query_hash(*parts: object) -> str:
    """Hash over what decides a result."""
    return hash_json(parts)[:32]
