"""A document's hash: by it an update tells what has changed without reading the document."""

from __future__ import annotations

import hashlib

import orjson

from index_builder.documents import Document

_BYTES = 16
_OPTIONS = orjson.OPT_SORT_KEYS


class ContentHash:
    """Hashes documents of one encoder and one mapping."""

    def __init__(self, encoder_hash: str, mapping_hash: str) -> None:
        self._encoder_hash = encoder_hash.encode()
        self._mapping_hash = mapping_hash.encode()

    def of(self, document: Document) -> str:
        """``TEXT.WHOLE``: of what the vector stands for, and of all that is indexed."""
        text = _digest(self._encoder_hash, document.encoder_text.encode())
        whole = orjson.dumps([document.fields, document.rerank_text], option=_OPTIONS)
        return f"{text}.{_digest(self._mapping_hash, text.encode(), whole)}"


def same_text(one: str, other: str) -> bool:
    """Whether the vector of one document is that of the other."""
    return one.partition(".")[0] == other.partition(".")[0]


def _digest(*parts: bytes) -> str:
    digest = hashlib.blake2b(digest_size=_BYTES)
    for part in parts:
        digest.update(len(part).to_bytes(8))
        digest.update(part)
    return digest.hexdigest()
