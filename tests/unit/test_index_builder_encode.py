"""Chunks of documents and their vectors, by a small real model."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from index_builder.documents import Document
from index_builder.encode import encode
from index_builder.rows import Row
from index_builder.vector_cache import VectorCache
from rerank_core.artifact import open_artifact
from rerank_core.engine import BiEncoder, Engine, load_bi_encoder
from tests.tiny_models import make_bi_encoder


class ListeningEngine(Engine):
    """Remembers which texts it encoded."""

    def __init__(self) -> None:
        super().__init__(workers=1)
        self.heard: list[list[str]] = []

    def encode(self, model: BiEncoder, texts: Sequence[str], **how: Any) -> Any:
        """As the engine does."""
        self.heard.append(list(texts))
        return super().encode(model, texts, **how)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_bi_encoder(tmp_path_factory.mktemp("models") / "bi")


@pytest.fixture
def engine() -> Iterator[ListeningEngine]:
    with ListeningEngine() as engine:
        yield engine


def documents(*texts: str) -> list[Document]:
    return [Document(str(at), {}, text, "", Row(at, {})) for at, text in enumerate(texts)]


def test_equal_texts_are_encoded_once_and_each_document_has_its_vector(
    folder: Path, engine: ListeningEngine
) -> None:
    """Shops list one product many times; rows of the result stand in the documents' order."""
    encoder = load_bi_encoder(open_artifact(folder))
    chunk = documents("oak table", "elm chair", "oak table", "ash bed", "elm chair")

    encoded = encode(engine, encoder, chunk, VectorCache())

    [heard] = engine.heard
    assert sorted(heard) == ["ash bed", "elm chair", "oak table"]
    assert encoded.documents == chunk
    oak, elm, ash = engine.encode(encoder, ["oak table", "elm chair", "ash bed"])
    np.testing.assert_allclose(encoded.vectors, [oak, elm, oak, ash, elm], atol=1e-6)
    assert not np.allclose(oak, elm, atol=1e-3)


def test_a_chunk_is_encoded_in_parts_from_short_to_long(
    folder: Path, engine: ListeningEngine
) -> None:
    """So that parts hold texts of one length, and progress can be told after each."""
    encoder = load_bi_encoder(open_artifact(folder))
    chunk = documents(*(f"part {'x' * (at * 37 % 40)} {at}" for at in range(300)))
    told: list[int] = []

    encoded = encode(engine, encoder, chunk, VectorCache(), told.append)

    assert told == [256, 44]
    assert [len(part) for part in engine.heard] == told
    lengths = [len(text) for part in engine.heard for text in part]
    assert lengths == sorted(lengths)
    whole = engine.encode(encoder, [document.encoder_text for document in chunk])
    np.testing.assert_allclose(encoded.vectors, whole, atol=1e-6)


def test_a_text_of_an_earlier_chunk_is_not_encoded_again(
    folder: Path, engine: ListeningEngine
) -> None:
    """However far apart equal texts stand, and to the same bits."""
    encoder = load_bi_encoder(open_artifact(folder))
    cache = VectorCache()
    told: list[int] = []

    first = encode(engine, encoder, documents("oak table", "elm chair"), cache, told.append)
    second = encode(engine, encoder, documents("elm chair", "ash", "elm chair"), cache, told.append)
    third = encode(engine, encoder, documents("oak table"), cache, told.append)

    assert [sorted(part) for part in engine.heard] == [["elm chair", "oak table"], ["ash"]]
    assert told == [2, 1]
    assert (second.vectors[[0, 2]] == first.vectors[1]).all()
    assert (third.vectors == first.vectors[0]).all()


def test_the_cache_keeps_the_latest_within_its_bytes() -> None:
    """Two vectors of 25 numbers take 400 bytes each, so three do not fit into 1,000."""
    cache = VectorCache(most_bytes=1000)
    one, two, three = np.eye(3, 25, dtype=np.float32)

    cache.put(["one", "two"], np.stack([one, two]))
    cache.get(["one"])
    cache.put(["three"], three[None])

    known = cache.get(["one", "two", "three"])
    assert [vector is not None for vector in known] == [True, False, True]
    assert len(cache) == 2
    assert known[0] is not None
    assert (known[0] == one).all()


def test_a_cache_of_no_bytes_keeps_nothing() -> None:
    """So that each text is encoded."""
    cache = VectorCache(most_bytes=0)
    cache.put(["one"], np.ones((1, 4), np.float32))
    assert cache.get(["one"]) == [None]
    assert len(cache) == 0
