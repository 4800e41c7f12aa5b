"""Documents with their vectors, in chunks."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from index_builder.documents import Document
from index_builder.vector_cache import VectorCache
from rerank_core.engine import BiEncoder, Engine, Priority

CHUNK_DOCUMENTS = 2048
"""Many at a time: the engine pads nothing, so it wants texts of one length together."""
CHUNK_BYTES = 32 << 20
"""And no more of the catalogue than this, so that memory is bounded by it."""

# Sorted by length, a part costs no more a text than the whole chunk (1,024 products: 13.4 s of
# CPU either way), and there is something to tell, or to interrupt, while a chunk is encoded.
_PART_TEXTS = 256


@dataclass(frozen=True, slots=True)
class EncodedChunk:
    """Documents and their vectors, float32 ``(documents, dimensions)``, of unit length."""

    documents: Sequence[Document]
    vectors: npt.NDArray[np.float32]


def chunked(
    documents: Iterable[Document],
    most_documents: int = CHUNK_DOCUMENTS,
    most_bytes: int = CHUNK_BYTES,
) -> Iterator[list[Document]]:
    """The documents in order; each chunk within both bounds, or a single document over them."""
    chunk: list[Document] = []
    held_bytes = 0
    for document in documents:
        size_bytes = document.row.size_bytes
        if chunk and (len(chunk) == most_documents or held_bytes + size_bytes > most_bytes):
            yield chunk
            chunk, held_bytes = [], 0
        chunk.append(document)
        held_bytes += size_bytes
    if chunk:
        yield chunk


def encode(
    engine: Engine,
    encoder: BiEncoder,
    documents: Sequence[Document],
    cache: VectorCache,
    on_encoded: Callable[[int], None] = lambda _: None,
) -> EncodedChunk:
    """Encodes a chunk; texts that are equal, or that the cache knows, are encoded once.

    `on_encoded` hears how many texts were encoded since it heard last. Raises `ScoringError`, and
    `NotReadyError` once the engine is closed.
    """
    texts = sorted({document.encoder_text for document in documents}, key=len)
    known = cache.get(texts)
    fresh = [text for text, vector in zip(texts, known, strict=True) if vector is None]
    vectors = np.empty((len(texts), encoder.dimensions), np.float32)
    for place, vector in enumerate(known):
        if vector is not None:
            vectors[place] = vector
    places = {text: place for place, text in enumerate(texts)}
    for begin in range(0, len(fresh), _PART_TEXTS):
        part = fresh[begin : begin + _PART_TEXTS]
        encoded = engine.encode(encoder, part, priority=Priority.BATCH)
        vectors[[places[text] for text in part]] = encoded
        cache.put(part, encoded)
        on_encoded(len(part))
    return EncodedChunk(documents, vectors[[places[item.encoder_text] for item in documents]])
