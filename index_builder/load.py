"""Documents into the index: reading, encoding and writing side by side."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass, field

from index_builder.content import ContentHash
from index_builder.documents import Document, Documents
from index_builder.encode import chunked, encode
from index_builder.payload import index_payload
from index_builder.progress import Progress
from index_builder.rejects import Rejects
from index_builder.rows import Reject
from index_builder.sending import Batch, Item, Refusal, Sender
from index_builder.stages import StageClock
from index_builder.vector_cache import VectorCache
from rerank_core.engine import BiEncoder, Engine

ENCODING = 2
"""Two chunks in work keep every worker busy while one ends; a third waits, a fourth is read."""

_AHEAD = 3
_TICK_S = 1.0

OnSettled = Callable[[int], Callable[[], None]]


@dataclass(frozen=True)
class Loader:
    """What turns documents into documents of the index."""

    encoder: BiEncoder
    content: ContentHash
    base64_vectors: bool
    clock: StageClock
    progress: Progress
    cache: VectorCache = field(default_factory=VectorCache)

    def load(self, documents: Documents, sender: Sender, begin: OnSettled) -> None:
        """Encodes and sends every document; comes back when each is settled.

        `begin` hears the number of each chunk's last row and gives what is to be called once that
        chunk is settled. At most four chunks, the cache, and what the sender holds are in memory.
        Raises what reading raises, `ScoringError`, `ClusterError`.
        """
        # Leaving, also by Ctrl-C: sender and engine stop first, which ends what the threads would
        # wait for; then these are joined; what is read from closes last.
        with (
            closing(documents),
            ThreadPoolExecutor(1, thread_name_prefix="hand-over") as hand_over,
            ThreadPoolExecutor(ENCODING, thread_name_prefix="encode") as executor,
            Engine() as engine,
            _stopped_on_failure(sender),
            _ticking(self.progress),
        ):
            made: deque[Future[None]] = deque()
            chunks = chunked(documents)
            while True:
                with self.clock.timed("read"):
                    chunk = next(chunks, None)
                if chunk is not None:
                    settle = begin(chunk[-1].number)
                    size_bytes = sum(document.row.size_bytes for document in chunk)
                    items = executor.submit(self._items, engine, chunk, settle)
                    # Not by this thread, which may wait for rows of a slow source.
                    made.append(hand_over.submit(self._put, sender, items, size_bytes))
                while made and (chunk is None or len(made) == _AHEAD):
                    made.popleft().result()
                if chunk is None:
                    break
            with self.clock.timed("wait for cluster"):
                sender.drain()
        self.progress.written(sender.sent.written)

    def _put(self, sender: Sender, items: Future[list[Item]], size_bytes: int) -> None:
        made = items.result()
        with self.clock.timed("wait for cluster"):
            sender.put(made)
        self.progress.read(size_bytes)
        self.progress.sending(sender.sent)

    def _items(
        self, engine: Engine, chunk: list[Document], settle: Callable[[], None]
    ) -> list[Item]:
        with self.clock.timed("encode"):
            encoded = encode(engine, self.encoder, chunk, self.cache, self.progress.encoded)
        with self.clock.timed("serialise"):
            batch = Batch(len(chunk), settle)
            return [
                Item(
                    index_payload(
                        document,
                        vector,
                        self.content.of(document),
                        base64_vectors=self.base64_vectors,
                    ),
                    document,
                    batch,
                )
                for document, vector in zip(encoded.documents, encoded.vectors, strict=True)
            ]


@contextmanager
def _stopped_on_failure(sender: Sender) -> Iterator[None]:
    try:
        yield
    except BaseException:
        sender.close()
        raise


@contextmanager
def _ticking(progress: Progress) -> Iterator[None]:
    """Something is said every few seconds, also while rows are waited for."""
    done = threading.Event()

    def tick() -> None:
        while not done.wait(_TICK_S):
            progress.tick()

    thread = threading.Thread(target=tick, name="progress", daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def dead_letter(item: Item, refusal: Refusal) -> Reject:
    """A document that the cluster will not have, with its row and the cluster's words."""
    document: Document = item.origin
    row = document.row
    return Reject(
        row.line,
        document.id,
        f"refused by the cluster: {refusal.reason}",
        row.values,
        row.file,
        document.number,
        refusal.error or {"status": refusal.status},
    )


def dead_letters(rejects: Rejects) -> Callable[[Item, Refusal], None]:
    """What the sender calls for an item that is refused for good."""
    return lambda item, refusal: rejects.add(dead_letter(item, refusal))
