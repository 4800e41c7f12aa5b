"""A message's parts are counted before it is decoded."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rerank_core.errors import InputError
from rerank_proto.rerank.v1 import rerank_pb2 as pb
from sidecar.wire_size import check_parts, worth_counting

KIND = pb.RerankRequest.DESCRIPTOR


def _most(content: bytes, kind=KIND) -> int:
    """The fewest parts that it passes with."""
    for most in range(10_000):
        try:
            check_parts(content, kind, most)
        except InputError:
            continue
        return most
    raise AssertionError("too many for a test")


def test_parts_by_hand():
    """A query, two documents of id and text, the second with a field of two values, a number: 13.

    The field is an entry, its key, its value message and two texts.
    """
    documents = [
        pb.Document(id="a", text="oak chair"),
        pb.Document(id="b", text="lamp", fields={"brand": pb.FieldValue(values=["x", "y"])}),
    ]
    request = pb.RerankRequest(query="drill", documents=documents, top_n=3)
    assert _most(request.SerializeToString()) == 1 + 2 * 3 + 5 + 1


def test_empty_documents_are_counted():
    """Two bytes each: nine million of them would be let in by a limit of 18 MiB."""
    request = pb.RerankRequest(documents=[pb.Document()] * 300)
    content = request.SerializeToString()
    assert len(content) == 600
    assert _most(content) == 300
    check_parts(content, KIND, 300)
    with pytest.raises(InputError, match="more than 299 parts"):
        check_parts(content, KIND, 299)


@pytest.mark.parametrize(
    "number",
    [
        b"\x18\x01",
        b"\x31" + bytes(8),  # of a field that we do not have
        b"\x35" + bytes(4),
        b"\x98\x80\x00" + b"\xff" * 9 + b"\x01",  # written as long as may be
    ],
)
def test_numbers_are_counted(number):
    """They become little, but nine million of them would be walked through for seconds."""
    assert _most(number * 300) == 300


def test_only_what_could_become_much_is_counted():
    """A quarter of a MiB is read as it is."""
    assert not worth_counting(bytes(256 * 1024))
    assert worth_counting(bytes(256 * 1024 + 1))


@given(st.binary(max_size=300))
def test_any_bytes_end(content):
    """What is no message the decoder refuses; counting ends, with no more parts than bytes."""
    check_parts(content, KIND, len(content))
