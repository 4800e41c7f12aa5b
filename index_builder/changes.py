"""Live changes that were made during a rebuild, replayed from a file that their maker appends to.

The rule: who changes a product appends a line to the file first and writes it to the alias then. A
line beats the catalogue's row, and a later line an earlier one. The builder replays the file after
the load, once more until nothing is new just before the swap, and once more after it. So a change
is either replayed, or was written to the fresh index by its maker, or both.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from opensearchpy import OpenSearch

from index_builder.content import ContentHash, same_text
from index_builder.documents import Composer, Document
from index_builder.jsonl_rows import parse_line
from index_builder.payload import delete_payload, index_payload
from index_builder.rows import MOST_ROW_BYTES, Reject, Row
from index_builder.sending import Batch, Item, Refusal, Sender
from index_builder.stored import Stored, read_stored
from rerank_core.cluster.dialect import Dialect
from rerank_core.cluster.settings import ClusterSettings
from rerank_core.engine import BiEncoder, Engine
from rerank_core.errors import ConfigError, InputError

DELETE = "_delete"
"""A line with this set to true takes the product away."""

_AT_ONCE = 500


@dataclass(frozen=True)
class Writing:
    """What it takes to write products of one encoder and mapping."""

    client: OpenSearch
    settings: ClusterSettings
    dialect: Dialect
    encoder: BiEncoder
    content: ContentHash
    composer: Composer


class ChangeFile:
    """A JSONL file of changes, read from where the last replay ended.

    A line has the key's column, and those columns that change; null takes a value away.
    """

    def __init__(
        self, path: Path | None, writing: Writing, on_reject: Callable[[Reject], None]
    ) -> None:
        """Raises `ConfigError` where `path` is no file; None is one without lines."""
        if path is not None and not path.is_file():
            raise ConfigError(f"changes {path}: no such file; create it empty before the build")
        self._path = path
        self._writing = writing
        self._on_reject = on_reject
        self._offset = 0
        self._line = 0
        self.applied = 0
        """Lines that were replayed so far."""

    def replay(self, index: str) -> None:
        """Comes back when the file has no line that is not in `index`.

        A line that is not ended yet waits for the next replay. Raises `ClusterError`, and
        `ScoringError`.
        """
        if self._path is None or not (lines := self._read()):
            return
        rejected = self._refused
        with Engine() as engine, Sender(self._writing.settings, index, rejected) as sender:
            while lines:
                self._apply(index, lines, engine, sender)
                sender.drain()  # a later line of a product must not overtake this one
                self.applied += len(lines)
                lines = self._read()

    def _read(self) -> list[Row]:
        """Further lines, at most some hundred; bad ones are rejected."""
        rows: list[Row] = []
        if self._path is None:
            return rows
        with self._path.open("rb") as file:
            file.seek(self._offset)
            while len(rows) < _AT_ONCE and (line := file.readline(MOST_ROW_BYTES)).endswith(b"\n"):
                self._offset += len(line)
                self._line += 1
                if line.isspace():
                    continue
                row = parse_line(self._line, line)
                if isinstance(row, Row):
                    rows.append(row)
                else:
                    self._reject(row)
        return rows

    def _apply(self, index: str, rows: list[Row], engine: Engine, sender: Sender) -> None:
        writing = self._writing
        by_key: dict[str, list[Row]] = {}
        for row in rows:
            try:
                by_key.setdefault(writing.composer.key_of(row), []).append(row)
            except InputError as error:
                self._reject(Reject(row.line, None, str(error), row.values))
        fields = [*writing.composer.fields, "vector"]
        keys = list(by_key)
        stored = read_stored(writing.client, writing.dialect, index, keys, fields) if keys else {}
        payloads: list[tuple[bytes, Row]] = []
        documents: list[Document] = []
        for key, changes in by_key.items():
            since = [at for at, row in enumerate(changes) if row.values.get(DELETE) is True]
            if since and since[-1] == len(changes) - 1:
                payloads.append((delete_payload(key), changes[-1]))
                continue
            before = {} if since or key not in stored else stored[key].fields
            try:
                after = changes[since[-1] + 1 :] if since else changes
                documents.append(writing.composer.change(key, before, after))
            except InputError as error:
                reason = str(error) if key in stored else f"no such product, and {error}"
                self._reject(Reject(changes[-1].line, key, reason, changes[-1].values))
        payloads += self._encoded(documents, stored, engine)
        if payloads:
            batch = Batch(len(payloads), lambda: None)
            sender.put([Item(payload, row, batch) for payload, row in payloads])

    def _encoded(
        self, documents: list[Document], stored: dict[str, Stored], engine: Engine
    ) -> list[tuple[bytes, Row]]:
        """With the vectors that they have, or new ones where the text is another."""
        writing = self._writing
        hashes = {document.id: writing.content.of(document) for document in documents}
        kept = {
            key: stored[key].vector
            for key, content_hash in hashes.items()
            if key in stored and same_text(stored[key].content_hash, content_hash)
        }
        new = [document for document in documents if kept.get(document.id) is None]
        if new:
            texts = [document.encoder_text for document in new]
            vectors = engine.encode(writing.encoder, texts)
            kept |= {document.id: vector for document, vector in zip(new, vectors, strict=True)}
        return [
            (
                index_payload(document, np.asarray(kept[document.id]), hashes[document.id]),
                document.row,
            )
            for document in documents
        ]

    def _refused(self, item: Item, refusal: Refusal) -> None:
        row: Row = item.origin
        reason = f"refused by the cluster: {refusal.reason}"
        self._reject(Reject(row.line, None, reason, row.values))

    def _reject(self, reject: Reject) -> None:
        where = str(self._path)
        self._on_reject(Reject(reject.line, reject.id, reject.reason, reject.row, where))
