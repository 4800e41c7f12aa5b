"""Bad requests name the field that is wrong; good ones arrive whole."""

from __future__ import annotations

import math

import pytest

from rerank_core.engine import Priority
from rerank_core.errors import InputError
from rerank_proto.rerank.v1 import rerank_pb2 as pb
from sidecar.config import Limits
from sidecar.degraded import Degraded
from sidecar.wire import write_degraded
from sidecar.wire_embed import read_embed
from sidecar.wire_rerank import read_rerank
from sidecar.wire_search import read_search

LIMITS = Limits(max_documents=3, max_query_bytes=20, max_document_bytes=60, max_texts=2)


def _document(**fields):
    return pb.Document(**{"id": "a", "text": "drill"} | fields)


def _request(**fields):
    return pb.RerankRequest(**{"query": "drill", "documents": [_document()]} | fields)


def _two(first, second):
    return [_document(id="a", **first), _document(id="b", **second)]


VALUES = pb.FieldValue(values=["drill"])
BAD = {
    "empty query": ({"query": ""}, "query"),
    "blank query": ({"query": " \t\u00a0\u3000\n"}, "query"),
    "query of control characters": ({"query": "\x00\x1f"}, "query"),
    "long query": ({"query": "x" * 21}, "query"),
    "query long in bytes, not in characters": ({"query": "ü" * 11}, "query"),
    "no documents": ({"documents": []}, "documents"),
    "too many documents": (
        {"documents": [_document(id=str(n)) for n in range(4)]},
        "documents",
    ),
    "negative top_n": ({"top_n": -1}, "top_n"),
    "unknown priority": ({"priority": 9}, "priority"),
    "empty id": ({"documents": [_document(id="")]}, "documents[0].id"),
    "long id": ({"documents": [_document(id="x" * 513)]}, "documents[0].id"),
    "duplicate id": ({"documents": [_document(), _document()]}, "documents[1].id"),
    "long version": ({"documents": [_document(version="x" * 129)]}, "documents[0].version"),
    "neither text nor fields": ({"documents": [_document(text="")]}, "documents[0]"),
    "both text and fields": ({"documents": [_document(fields={"title": VALUES})]}, "documents[0]"),
    "long text": ({"documents": [_document(text="x" * 61)]}, "documents[0].text"),
    "fields long together": (
        {
            "documents": [
                pb.Document(
                    id="a",
                    fields={
                        "title": pb.FieldValue(values=["x" * 36]),
                        "brand": pb.FieldValue(values=["x" * 8, "y" * 7]),
                    },
                )
            ]
        },
        "documents[0].fields",
    ),
    "many empty values": (
        {"documents": [_document(text="", fields={"title": pb.FieldValue(values=[""] * 40)})]},
        "documents[0].fields",
    ),
    "long field names": (
        {"documents": [_document(text="", fields={"t" * 60: VALUES})]},
        "documents[0].fields",
    ),
    "long model": ({"model": "m" * 513}, "model"),
    "score not a number": (
        {"documents": [_document(first_stage_score=math.nan)]},
        "documents[0].first_stage_score",
    ),
    "score without end": (
        {"documents": [_document(first_stage_score=-math.inf)]},
        "documents[0].first_stage_score",
    ),
    "rank zero": (
        {"documents": [_document(first_stage_rank=0)]},
        "documents[0].first_stage_rank",
    ),
    "the same rank twice": (
        {"documents": _two({"first_stage_rank": 2}, {"first_stage_rank": 2})},
        "documents[1].first_stage_rank",
    ),
    "rank on some documents": (
        {"documents": _two({"first_stage_rank": 1}, {})},
        "documents[1].first_stage_rank",
    ),
    "rank on later documents": (
        {"documents": _two({}, {"first_stage_rank": 1})},
        "documents[0].first_stage_rank",
    ),
}


@pytest.mark.parametrize(("fields", "path"), BAD.values(), ids=BAD.keys())
def test_a_bad_rerank_names_its_field(fields, path):
    """By its path in the request, so that a caller can point at it."""
    with pytest.raises(InputError) as caught:
        read_rerank(_request(**fields), LIMITS)
    assert caught.value.field == path


def test_limits_themselves_are_allowed():
    """A limit is what is allowed, not what is refused."""
    request = _request(
        query="x" * 20, documents=[_document(id=str(n), text="x" * 60) for n in range(3)]
    )
    assert len(read_rerank(request, LIMITS).candidates) == 3


def test_a_good_rerank_arrives_whole():
    """Every field of the contract, and nothing made up."""
    request = _request(
        documents=[
            pb.Document(
                id="a",
                fields={"title": pb.FieldValue(values=["x", "y"])},
                version="7",
                first_stage_score=-0.5,
                first_stage_rank=9,
            ),
            _document(id="b", first_stage_rank=4),
        ],
        top_n=1,
        model="student",
        strict=True,
        priority=pb.PRIORITY_BATCH,
    )
    task = read_rerank(request, LIMITS)
    assert (task.query, task.top_n, task.model, task.strict) == ("drill", 1, "student", True)
    assert task.priority is Priority.BATCH
    first, second = task.candidates
    assert (first.id, first.index) == ("a", 0)
    assert first.content == {"title": ("x", "y")}
    assert (first.first_stage_score, first.first_stage_rank) == (-0.5, 9)
    assert (second.content, second.first_stage_score, second.first_stage_rank) == ("drill", None, 4)


def test_without_ranks_the_order_of_the_list_is_the_rank():
    """From 1."""
    task = read_rerank(_request(documents=_two({}, {})), LIMITS)
    assert [candidate.first_stage_rank for candidate in task.candidates] == [1, 2]


def test_a_field_without_values_still_counts_as_given():
    """A product whose title is empty is a product; the recipe makes an empty text of it."""
    document = pb.Document(id="a", fields={"title": pb.FieldValue()})
    (candidate,) = read_rerank(_request(documents=[document]), LIMITS).candidates
    assert candidate.content == {"title": ()}


@pytest.mark.parametrize(
    ("fields", "path"),
    [
        ({"texts": []}, "texts"),
        ({"texts": ["a", "b", "c"]}, "texts"),
        ({"texts": ["a", "x" * 61]}, "texts[1]"),
        ({"texts": ["a"], "priority": -1}, "priority"),
    ],
)
def test_a_bad_embed_names_its_field(fields, path):
    """As for Rerank."""
    with pytest.raises(InputError) as caught:
        read_embed(pb.EmbedRequest(**fields), LIMITS)
    assert caught.value.field == path


def test_degraded_reasons_are_the_contracts():
    """Each of ours has its number there, and the contract has no other."""
    names = {
        name.removeprefix("DEGRADED_REASON_")
        for name in pb.DegradedReason.keys()  # noqa: SIM118  no mapping, though it has keys
    }
    assert {reason.name for reason in Degraded} == names - {"UNSPECIFIED"}
    assert write_degraded([Degraded.DEADLINE, Degraded.SCORING_FAILED]) == [
        pb.DEGRADED_REASON_DEADLINE,
        pb.DEGRADED_REASON_SCORING_FAILED,
    ]


@pytest.mark.parametrize(
    ("fields", "path"),
    [
        ({"profile": ""}, "profile"),
        ({"profile": "p" * 513}, "profile"),
        ({"page_size": -1}, "page_size"),
        ({"page_token": "t" * (2**20 + 1)}, "page_token"),
        ({"facets": ["brand", "f" * 513]}, "facets[1]"),
        ({"facets": ["brand", "color", "brand"]}, "facets[2]"),
        ({"facets": [str(n) for n in range(33)]}, "facets"),
        ({"filters": [pb.Filter(field="f" * 513)]}, "filters[0].field"),
        ({"filters": [pb.Filter(field="brand")] * 33}, "filters"),
        ({"parameters": {"p" * 513: "x"}}, "parameters"),
        ({"parameters": {"color": "x" * 4097}}, "parameters['color']"),
    ],
)
def test_a_bad_search_names_its_field(fields, path):
    """As for Rerank; names are bounded, since the log and errors tell them."""
    with pytest.raises(InputError) as caught:
        read_search(pb.SearchRequest(**{"profile": "shop", "query": "drill"} | fields), LIMITS)
    assert caught.value.field == path


def test_the_first_of_two_faults_is_told():
    """A repeat at 1 stands before an empty text at 2, and an empty text at 0 before a repeat at 2.

    A long id, counted in bytes and not in characters, is none of the plain ones, and is refused.
    """
    repeat, empty = _document(id="a"), _document(id="c", text="")
    for documents, field in (
        ([_document(), repeat, empty], "documents[1].id"),
        ([empty, _document(), repeat], "documents[0]"),
        ([_document(), _document(id="ü" * 257), repeat], "documents[1].id"),
    ):
        with pytest.raises(InputError) as caught:
            read_rerank(_request(documents=documents), LIMITS)
        assert caught.value.field == field
    longest = _document(id="ü" * 256)
    assert read_rerank(_request(documents=[longest]), LIMITS).candidates[0].id == "ü" * 256
