"""Documents into the index: encoding and writing side by side."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

from opensearchpy import OpenSearch

from index_builder.documents import Document, Documents
from index_builder.encode import EncodedChunk, chunked, encode
from index_builder.progress import Progress
from index_builder.rejects import Rejects
from index_builder.sender import send
from index_builder.stages import StageClock, one_ahead
from rerank_core.engine import BiEncoder, Engine


def load(
    documents: Documents,
    encoder: BiEncoder,
    client: OpenSearch,
    index: str,
    *,
    rejects: Rejects,
    clock: StageClock,
    progress: Progress,
) -> int:
    """Encodes and writes every document; how many the cluster took, the others are `rejects`.

    While one chunk is written the next one is read and encoded; no more than these two are in
    memory. Raises what reading raises, `ScoringError` and `ClusterError`.
    """
    written = 0
    # Leaving, also by Ctrl-C: the engine closes first, which ends the encoding that the executor
    # would wait for; then its thread is joined; what it reads from closes last.
    with (
        closing(documents),
        ThreadPoolExecutor(1, thread_name_prefix="encode") as executor,
        Engine() as engine,
    ):
        chunks = _encoded(engine, encoder, chunked(documents), clock, progress)
        for chunk in one_ahead(executor, chunks):
            with clock.timed("write"):
                refused = list(send(client, index, chunk))
            for reject in refused:
                rejects.add(reject)
            written += len(chunk.documents) - len(refused)
            progress.written(written)
    return written


def _encoded(
    engine: Engine,
    encoder: BiEncoder,
    chunks: Iterable[list[Document]],
    clock: StageClock,
    progress: Progress,
) -> Iterator[EncodedChunk]:
    upcoming = iter(chunks)
    while True:
        with clock.timed("read"):
            chunk = next(upcoming, None)
        if chunk is None:
            return
        with clock.timed("encode"):
            encoded = encode(engine, encoder, chunk, progress.encoded)
        yield encoded
