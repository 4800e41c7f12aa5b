"""The live index brought up to a catalogue in place: only what changed is encoded and written."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import TypeVar

from opensearchpy import OpenSearch

from index_builder.changes import Writing
from index_builder.content import same_text
from index_builder.documents import Document, last_rows, read_documents
from index_builder.encode import chunked, encode
from index_builder.ids import SeenIds
from index_builder.index import count, refresh
from index_builder.inputs import ClusterIndex, scan
from index_builder.load import dead_letters
from index_builder.lock import BuildLock, new_owner
from index_builder.payload import delete_payload, index_payload
from index_builder.plan import Plan, Prepared, prepare
from index_builder.progress import Progress
from index_builder.rejects import Rejects
from index_builder.sending import Batch, Item, Sender
from index_builder.stored import read_stored
from index_builder.vector_cache import VectorCache
from rerank_core.cluster.release import Release, resolve_alias, write_release
from rerank_core.cluster.settings import ClusterSettings
from rerank_core.engine import Engine
from rerank_core.errors import ConfigError, InputError, ReleaseError

Piece = TypeVar("Piece")

_ASKED = 500
_DELETED = 1000


@dataclass(frozen=True, slots=True)
class UpdateReport:
    """What came of an update."""

    alias: str
    index: str
    unchanged: int
    rewritten: int
    """Other fields, the same text: the vector was taken over."""
    encoded: int
    """New or of another text."""
    deleted: int
    rejected: int
    rejects_file: str | None
    documents: int
    seconds: float

    def lines(self) -> list[str]:
        """For a person."""
        lines = [
            f"{self.index}: {self.documents:,} documents after {self.seconds:.1f} s",
            (
                f"{self.unchanged:,} unchanged, {self.rewritten:,} rewritten with their vectors, "
                f"{self.encoded:,} encoded, {self.deleted:,} deleted"
            ),
        ]
        if self.rejected:
            lines.append(f"{self.rejected:,} rows rejected, with reasons: {self.rejects_file}")
        return lines


def update(
    plan: Plan,
    client: OpenSearch,
    settings: ClusterSettings,
    progress: Progress,
    *,
    keep_missing: bool = False,
) -> UpdateReport:
    """Brings the index behind the alias to what the catalogue says.

    What is gone from the catalogue is deleted, unless `keep_missing`; never where that leaves less
    than the plan's least ratio of what was there, nor where a row's key cannot be read. A row that
    is rejected keeps its product as it is. Safe to repeat. Raises `ReleaseError` where the index
    was built by other models or another mapping, and as a rebuild does.
    """
    started_s = time.monotonic()
    prepared = prepare(plan, client)
    if isinstance(prepared.input, ClusterIndex):
        raise ConfigError("an update reads a catalogue, not an index; rebuild encodes one anew")
    index, release = resolve_alias(client, plan.alias)
    check_same(index, release, prepared)
    rejects_path = plan.rejects or Path(f"{index}.update.rejects.jsonl")
    with (
        BuildLock(client, plan.alias, new_owner(), index) as lock,
        SeenIds() as rejected,
        Rejects(rejects_path, keys=rejected) as rejects,
        SeenIds() as seen,
        Engine() as engine,
    ):
        run = _Update(plan, prepared, client, settings, progress, index, rejects)
        run.write(seen, engine)
        refresh(client, index)
        deleted = 0 if keep_missing else run.delete_missing(seen, rejected)
        refresh(client, index)
        documents = count(client, index)
        lock.check()
        now = datetime.now(UTC)
        write_release(
            client,
            index,
            replace(release, documents=documents, rejected=rejects.count, updated_at=now),
        )
        return UpdateReport(
            alias=plan.alias,
            index=index,
            unchanged=run.unchanged,
            rewritten=run.rewritten,
            encoded=run.encoded,
            deleted=deleted,
            rejected=rejects.count,
            rejects_file=str(rejects.path) if rejects.count else None,
            documents=documents,
            seconds=time.monotonic() - started_s,
        )


def check_same(index: str, release: Release, prepared: Prepared) -> None:
    """Raises `ReleaseError` where the index has other models' vectors or another mapping."""
    ours = {
        "vectors": (release.encoder_hash, prepared.encoder.hash),
        "the encoder's text recipe": (
            release.encoder_recipe_hash,
            prepared.encoder.artifact.manifest.recipe.hash,
        ),
        "the reranker's text recipe": (
            release.recipe_hash,
            prepared.reranker.manifest.recipe.hash,
        ),
        "mapping": (release.mapping_hash, prepared.mapping_hash),
    }
    for what, (theirs, wanted) in ours.items():
        if theirs != wanted:
            raise ReleaseError(
                f"index {index}: its {what} differ(s) from what schema and models give now; an "
                "update would mix two, so rebuild"
            )


class _Update:
    """One update: what its steps share."""

    def __init__(
        self,
        plan: Plan,
        prepared: Prepared,
        client: OpenSearch,
        settings: ClusterSettings,
        progress: Progress,
        index: str,
        rejects: Rejects,
    ) -> None:
        self._plan = plan
        self._prepared = prepared
        self._writing = Writing(
            client,
            settings,
            prepared.dialect,
            prepared.encoder,
            prepared.content,
            prepared.composer(),
        )
        self._client = client
        self._progress = progress
        self._index = index
        self._rejects = rejects
        self._cache = VectorCache()
        self.unchanged = self.rewritten = self.encoded = 0

    def write(self, seen: SeenIds, engine: Engine) -> None:
        """Writes what is new or another; `seen` takes the keys of all good rows."""
        source, composer = self._prepared.input, self._writing.composer
        with SeenIds() as places:
            last = None
            if self._plan.duplicates == "last":
                last = places
                last_rows(source.rows(composer.columns), self._prepared.composer(), last)
            documents = read_documents(
                source.rows(composer.columns),
                composer,
                self._rejects,
                last=last,
                seen=seen,
                on_row=self._check_rejects,
            )
            with self._sender() as sender:
                for chunk in chunked(documents):
                    self._write_chunk(chunk, engine, sender)
                    self._progress.sending(sender.sent)
                sender.drain()
        self._check_rejects(0)

    def _sender(self) -> Sender:
        writing = self._writing
        return Sender(writing.settings, self._index, dead_letters(self._rejects), self._plan.limits)

    def _check_rejects(self, _: int) -> None:
        most = self._plan.max_rejects
        if most is not None and self._rejects.count > most:
            raise InputError(
                self._prepared.input.name,
                f"more than {most:,} rows are rejected (--max-rejects): {self._rejects.path}",
            )

    def _write_chunk(self, chunk: list[Document], engine: Engine, sender: Sender) -> None:
        content = self._writing.content
        wanted = {document.id: content.of(document) for document in chunk}
        hashes = {
            key: stored.content_hash
            for some in _some(list(wanted), _ASKED)
            for key, stored in read_stored(
                self._client, self._prepared.dialect, self._index, some, ()
            ).items()
        }
        changed = [item for item in chunk if hashes.get(item.id) != wanted[item.id]]
        self.unchanged += len(chunk) - len(changed)
        kept = [item for item in changed if same_text(hashes.get(item.id, ""), wanted[item.id])]
        payloads: deque[tuple[Document, bytes]] = deque()
        for some in _some(kept, _ASKED):
            keys = [item.id for item in some]
            stored = read_stored(
                self._client, self._prepared.dialect, self._index, keys, ["vector"]
            )
            for item in some:
                if item.id in stored and (vector := stored[item.id].vector) is not None:
                    payloads.append((item, index_payload(item, vector, wanted[item.id])))
        self.rewritten += len(payloads)
        taken = {item.id for item, _ in payloads}
        new = [item for item in changed if item.id not in taken]
        if new:
            encoder, on_encoded = self._prepared.encoder, self._progress.encoded
            encoded = encode(engine, encoder, new, self._cache, on_encoded)
            for item, vector in zip(encoded.documents, encoded.vectors, strict=True):
                payloads.append((item, index_payload(item, vector, wanted[item.id])))
            self.encoded += len(new)
        if payloads:
            batch = Batch(len(payloads), lambda: None)
            sender.put([Item(payload, item, batch) for item, payload in payloads])

    def delete_missing(self, seen: SeenIds, rejected: SeenIds) -> int:
        """Deletes what the catalogue does not have; how many. Raises `ReleaseError`."""
        if self._rejects.without_key:
            self._progress.note(
                f"nothing is deleted: {self._rejects.without_key:,} rejected rows have no key that "
                "can be read, so nobody knows which products they are"
            )
            return 0
        missing = sum(1 for _ in self._missing(seen, rejected))
        total = count(self._client, self._index)
        least = self._plan.gates.min_ratio_to_live
        if total and (total - missing) / total < least:
            raise ReleaseError(
                f"index {self._index}: {missing:,} of its {total:,} documents are not in the "
                f"catalogue, which would leave less than {least:.0%}; is that the whole feed? Say "
                "--min-ratio-to-live if it is, or --keep-missing. What is new was written"
            )
        with self._sender() as sender:
            keys = self._missing(seen, rejected)
            while some := list(islice(keys, _DELETED)):
                batch = Batch(len(some), lambda: None)
                sender.put([Item(delete_payload(key), key, batch) for key in some])
            sender.drain()
        return missing

    def _missing(self, seen: SeenIds, rejected: SeenIds) -> Iterator[str]:
        for hit in scan(self._client, self._prepared.dialect, self._index, source=False):
            key: str = hit["_id"]
            if seen.place(key) is None and rejected.place(key) is None:
                yield key


def _some(items: Sequence[Piece], size: int) -> Iterator[Sequence[Piece]]:
    for begin in range(0, len(items), size):
        yield items[begin : begin + size]
