"""The queries by which recall is measured."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from rerank_core.compressed import only_file, open_bytes
from rerank_core.errors import ConfigError

_MOST = 1000
_TITLE_CHARACTERS = 100


def real_queries(path: Path) -> list[str]:
    """The first thousand distinct queries of a BEIR folder, a JSONL or a text file.

    Raises `ConfigError`.
    """
    if not path.exists():
        raise ConfigError(f"{path}: no such file or folder; --queries names queries")
    file = only_file(path, "queries.jsonl") if path.is_dir() else path
    return list(islice(dict.fromkeys(_read(file)), _MOST))


def _read(path: Path) -> Iterator[str]:
    jsonl = ".jsonl" in path.suffixes
    with open_bytes(path) as lines:
        for number, line in enumerate(lines, start=1):
            try:
                value = json.loads(line)["text"] if jsonl else line.decode()
            except (ValueError, KeyError, TypeError) as error:
                raise ConfigError(f"{path}:{number}: no query: {error}") from error
            if isinstance(value, str) and value.strip():
                yield value.strip()


def filled_up(
    queries: Sequence[str], products: Sequence[Mapping[str, Any]], wanted: int
) -> tuple[list[str], str]:
    """The queries, with products' own texts where there are fewer than `wanted`; what they are."""
    texts = (item["_source"].get("rerank_text", "")[:_TITLE_CHARACTERS] for item in products)
    missing = max(0, wanted - len(queries))
    filled = [text for text in dict.fromkeys(texts) if text and text not in set(queries)][:missing]
    if not filled:
        return list(queries), "queries"
    what = f"queries, {len(filled)} of them texts of products" if queries else "texts of products"
    return [*queries, *filled], what
