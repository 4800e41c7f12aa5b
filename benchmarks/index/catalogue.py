"""The catalogue that every contender loads: distinct real products, and queries beside them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import count, islice
from pathlib import Path
from typing import Any

from index_builder.gates.queries import real_queries
from rerank_core.compressed import only_file, open_bytes
from rerank_core.errors import ConfigError

_QUERIES = 200


def write_catalogue(data: Path, products: int, path: Path, *, vary: bool = False) -> int:
    """Writes so many products of distinct texts as JSONL; how many of them are real.

    Where there are fewer and `vary` is set, the further ones are the same products with a number
    behind their title, so that every text is another one. Queries go to `path` with ``.queries``
    behind. Raises `ConfigError`.
    """
    real = 0
    with path.open("wb") as file:
        for key, row in islice(_distinct(data), products):
            real += 1
            file.write(json.dumps({"_id": key, **row}).encode() + b"\n")
        if real < products and not (vary and real):
            raise ConfigError(
                f"{data}: has {real:,} distinct products, {products:,} are asked for; say "
                "--products"
            )
        for key, row in islice(_varied(data), products - real):
            file.write(json.dumps({"_id": key, **row}).encode() + b"\n")
    queries = list(islice(real_queries(data), _QUERIES))
    Path(f"{path}.queries").write_text(json.dumps(queries), encoding="utf-8")
    return real


def _distinct(data: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Keys and rows, each content once."""
    seen: set[bytes] = set()
    with open_bytes(only_file(data, "corpus.jsonl")) as rows:
        for line in rows:
            row = json.loads(line)
            key = row.pop("_id")
            content = json.dumps(row, sort_keys=True).encode()
            if content not in seen:
                seen.add(content)
                yield key, row


def _varied(data: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """The products again and again, each time under a further number."""
    for number in count(2):
        for key, row in _distinct(data):
            yield f"{key}-{number}", {**row, "title": f"{row['title']} no. {number}"}
