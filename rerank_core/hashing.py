"""Stable hashes of data and files."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

_BLOCK_BYTES = 1 << 20


def canonical_json(value: object) -> bytes:
    """The same bytes for equal JSON values: sorted keys, no white space, UTF-8.

    1 and 1.0 stay apart. Raises `ValueError` on NaN or infinity, which JSON does not have.
    """
    text = json.dumps(
        value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
    )
    return text.encode()


def hash_json(value: object) -> str:
    """sha256 over `canonical_json`, 64 hex digits."""
    return hashlib.sha256(canonical_json(value)).hexdigest()


def hash_file(path: Path) -> str:
    """sha256 of a file's bytes, 64 hex digits, in constant memory."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(_BLOCK_BYTES):
            digest.update(block)
    return digest.hexdigest()
