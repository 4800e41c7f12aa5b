"""Calls as data: what is sent for what was asked, what is read of what came."""

from __future__ import annotations

import grpc
import pytest

from rerank_client import SERVICE_CONFIG, Document, Filter, Priority, UnavailableError, calls
from rerank_client.reading import read_ranking, read_search
from rerank_proto.rerank.v1 import rerank_pb2 as pb


def test_a_rerank_call_holds_every_field():
    """Nothing is dropped, nothing added."""
    documents = [
        Document("a", text="drill", version="7", first_stage_score=0.0, first_stage_rank=1),
        Document("b", fields={"title": "drill", "color": ["red", "blue"]}, first_stage_rank=2),
    ]
    call = calls.rerank(
        "q", documents, top_n=2, model="m", strict=True, priority=Priority.BATCH, timeout_s=0.5
    )
    assert call.timeout_s == 0.5
    assert call.request == pb.RerankRequest(
        query="q",
        documents=[
            pb.Document(
                id="a", text="drill", version="7", first_stage_score=0.0, first_stage_rank=1
            ),
            pb.Document(
                id="b",
                fields={
                    "title": pb.FieldValue(values=["drill"]),
                    "color": pb.FieldValue(values=["red", "blue"]),
                },
                first_stage_rank=2,
            ),
        ],
        top_n=2,
        model="m",
        strict=True,
        priority=pb.PRIORITY_BATCH,
    )
    assert (
        not calls.rerank("q", [Document("a", text="x")])
        .request.documents[0]
        .HasField("first_stage_score")
    )


def test_half_of_a_surrogate_pair_is_a_space():
    """JSON lets it through, UTF-8 does not: a broken title must not cost a search its rerank."""
    broken = "drill \ud83d set"
    document = Document("a", text=broken)
    fields = Document("b", fields={"title": broken, "color": ["red", broken]})
    request = calls.rerank(broken, [document, fields]).request
    assert request.query == request.documents[0].text == "drill   set"
    assert request.documents[1].fields["title"].values == ["drill   set"]
    assert request.documents[1].fields["color"].values == ["red", "drill   set"]
    assert calls.embed([broken]).request.texts == ["drill   set"]
    assert calls.search("shop", broken).request.query == "drill   set"


def test_an_id_that_is_no_text_names_its_document():
    """An id comes back as it was sent, so it is not mended: raised where strict, told otherwise."""
    documents = [Document("a", text="x"), Document("a\ud83d", text="x")]
    with pytest.raises(ValueError, match=r"documents\[1\].id: 'a\\ud83d' has half of a"):
        calls.rerank("drill", documents, strict=True)
    call = calls.rerank("drill", documents)
    ranking = call.instead(call.request)
    assert [item.id for item in ranking.documents] == ["a", "a\ud83d"]
    assert ranking.degraded == ("INVALID_REQUEST",)
    assert "documents[1].id" in str(ranking.error)


@pytest.mark.parametrize(
    ("query", "document"),
    [
        (None, Document("a", text="x")),
        ("drill", Document("a", text=None)),
        ("drill", Document("a", fields={"title": None})),
        ("drill", Document(7, text="x")),
        ("drill", Document("a", fields=None)),
        ("drill", Document("a", text="x", first_stage_score="high")),
        ("drill", Document("a", text="x", first_stage_rank="high")),
    ],
)
def test_a_value_of_another_type_costs_the_search_nothing(query, document):
    """A field that a hit lacks is None as often as not: the order stands, the reason is told."""
    call = calls.rerank(query, [document, Document("b", text="x", first_stage_rank=1)])
    ranking = call.instead(call.request)
    assert [item.id for item in ranking.documents] == [document.id, "b"]
    assert ranking.degraded == ("INVALID_REQUEST",)
    with pytest.raises((TypeError, ValueError, AttributeError)):
        calls.rerank(query, [document], strict=True)


def test_options_of_another_type_cost_the_search_nothing():
    """As for a document's values; a priority may go by its word, and `top_n` None is all."""
    documents = [Document("a", text="x"), Document("b", text="x")]
    for wrong in ({"top_n": "1"}, {"priority": "soon"}, {"model": 7}):
        call = calls.rerank("drill", documents, **wrong)
        assert [item.id for item in call.instead(call.request).documents] == ["a", "b"]
    assert calls.rerank("drill", documents, priority="batch").request.priority == pb.PRIORITY_BATCH
    gone = UnavailableError("gone", grpc.StatusCode.UNAVAILABLE)
    assert len(calls.rerank("drill", documents, top_n=None).instead(gone).documents) == 2


def test_documents_may_come_one_by_one():
    """What can be read once only is sent, and is still there for the fallback."""
    call = calls.rerank("drill", (Document(name, text="x") for name in "ab"))
    assert [document.id for document in call.request.documents] == ["a", "b"]
    gone = UnavailableError("gone", grpc.StatusCode.UNAVAILABLE)
    assert [item.id for item in call.instead(gone).documents] == ["a", "b"]


def test_the_fallback_is_the_first_stages_order():
    """By rank where all have one, else as they stand; scores as they came; cut to top_n."""
    error = UnavailableError("gone", grpc.StatusCode.UNAVAILABLE)
    ranked = [
        Document("a", text="x", first_stage_rank=3, first_stage_score=0.5),
        Document("b", text="x", first_stage_rank=1),
        Document("c", text="x", first_stage_rank=2),
    ]
    ranking = calls.rerank("drill", ranked, top_n=2).instead(error)
    assert [(item.id, item.index) for item in ranking.documents] == [("b", 1), ("c", 2)]
    whole = calls.rerank("drill", ranked).instead(error)
    assert whole.documents[-1].first_stage_score == 0.5
    assert (whole.degraded, whole.error, whole.scored) == (("UNAVAILABLE",), error, 0)
    unranked = calls.rerank("drill", [Document("a", text="x"), Document("b", text="x")])
    assert [item.first_stage_rank for item in unranked.instead(error).documents] == [1, 2]
    with pytest.raises(UnavailableError):
        calls.rerank("drill", ranked, strict=True).instead(error)


def test_the_service_config_retries_what_may_be_retried():
    """UNAVAILABLE alone, at most five times as gRFC A6 bounds it, throttled; every RPC is named."""
    (method,) = SERVICE_CONFIG["methodConfig"]
    policy = method["retryPolicy"]
    assert policy["retryableStatusCodes"] == ["UNAVAILABLE"]
    assert 1 < policy["maxAttempts"] <= 5
    assert SERVICE_CONFIG["retryThrottling"]["tokenRatio"] > 0
    services = {service.full_name for service in pb.DESCRIPTOR.services_by_name.values()}
    named = {name["service"] for name in method["name"]}
    assert named == services - {"rerank.v1.AdminService"}


def test_a_search_call_holds_every_field():
    """As for Rerank; a range keeps an end that is zero apart from one that is not set."""
    call = calls.search(
        "shop",
        "drill",
        page_size=5,
        page_token="t",  # noqa: S106  no secret
        filters=[Filter("brand", any_of=["acme"]), Filter("price", at_least=0.0)],
        facets=["brand"],
        parameters={"a": "b"},
        explain=True,
        strict=True,
    )
    assert call.request == pb.SearchRequest(
        profile="shop",
        query="drill",
        page_size=5,
        page_token="t",  # noqa: S106  no secret
        filters=[
            pb.Filter(field="brand", any_of=pb.Values(values=["acme"])),
            pb.Filter(field="price", range=pb.Range(at_least=0.0)),
        ],
        facets=["brand"],
        parameters={"a": "b"},
        explain=True,
        strict=True,
        priority=pb.PRIORITY_INTERACTIVE,
    )
    assert not call.request.filters[1].range.HasField("below")


@pytest.mark.parametrize("priority", Priority)
def test_every_priority_is_the_contracts(priority):
    """By its name there."""
    sent = calls.embed(["a"], priority=priority).request.priority
    assert pb.Priority.Name(sent) == f"PRIORITY_{priority.name}"


def test_a_ranking_is_read_whole():
    """What is unset stays None; a reason that this client does not know yet is its number."""
    message = pb.RerankResponse(
        documents=[
            pb.RerankedDocument(
                id="b",
                index=1,
                first_stage_score=0.0,
                first_stage_rank=2,
                rerank=pb.RerankScore(rank=1, logit=-1.5),
            ),
            pb.RerankedDocument(id="a", first_stage_rank=1),
        ],
        degraded=[pb.DEGRADED_REASON_DEADLINE, 99],
        scored=1,
        stages=[pb.StageTime(stage="score", duration_ms=1.25)],
    )
    ranking = read_ranking(message)
    first, second = ranking.documents
    assert (first.id, first.index, first.first_stage_score) == ("b", 1, 0.0)
    assert (first.rerank.rank, first.rerank.logit, first.rerank.probability) == (1, -1.5, None)
    assert (second.first_stage_score, second.rerank) == (None, None)
    assert ranking.degraded == ("DEADLINE", "99")
    assert (ranking.scored, ranking.model, ranking.stages_ms) == (1, None, {"score": 1.25})


def test_a_search_result_is_read_whole():
    """Hits with fields and explanation, facets in their order, models where there are any."""
    message = pb.SearchResponse(
        hits=[
            pb.SearchHit(
                id="a",
                rank=11,
                first_stage_score=0.03,
                first_stage_rank=4,
                rerank=pb.RerankScore(rank=11, logit=2.0, probability=0.75),
                fields={"color": pb.FieldValue(values=["red", "blue"])},
                explanation=pb.Explanation(
                    legs=[pb.LegRank(leg="vector", rank=3, score=0.5)],
                    placed_by="rerank",
                    places=[
                        pb.StagePlace(stage="fuse", rank=4, score=0.03),
                        pb.StagePlace(stage="pin", rank=1),
                    ],
                    rules=["pinned by rules[0]"],
                ),
            ),
            pb.SearchHit(id="b", rank=12),
        ],
        total=40,
        total_is_exact=True,
        next_page_token="next",  # noqa: S106  no secret
        facets=[
            pb.Facet(
                field="brand",
                values=[pb.FacetValue(value="x", count=3), pb.FacetValue(value="a", count=2)],
            )
        ],
        index="products-1",
        fallback="zero-results",
        plan=pb.SearchPlan(
            profile_json="{}",
            legs=[pb.LegPlan(leg="lexical", template_id="lexical@1", weight=0.4)],
            fusion="own rrf: why",
            templates="stored",
        ),
        embed_model=pb.ModelVersion(id="minilm", hash="00", numeric_path="p"),
    )
    result = read_search(message)
    hit, bare = result.hits
    assert (hit.rank, hit.rerank.probability, hit.fields) == (11, 0.75, {"color": ("red", "blue")})
    assert (hit.explanation.legs[0].leg, hit.explanation.placed_by) == ("vector", "rerank")
    places = [(at.stage, at.rank, at.score) for at in hit.explanation.places]
    assert places == [("fuse", 4, 0.03), ("pin", 1, None)]
    assert hit.explanation.rules == ("pinned by rules[0]",)
    assert (result.fallback, result.plan.fusion) == ("zero-results", "own rrf: why")
    assert (result.plan.legs[0].template_id, result.plan.legs[0].weight) == ("lexical@1", 0.4)
    assert (bare.rerank, bare.explanation) == (None, None)
    assert list(result.facets["brand"].items()) == [("x", 3), ("a", 2)]
    assert (result.total, result.total_is_exact, result.next_page_token) == (40, True, "next")
    assert (result.embed_model.id, result.rerank_model) == ("minilm", None)


def test_what_cannot_be_meant_is_refused():
    """A string where a list belongs would go out as letters, one of two conditions not at all."""
    for ask in (
        lambda: calls.embed("abc"),
        lambda: calls.search("shop", "drill", facets="brand"),
        lambda: calls.search("shop", "drill", filters=[Filter("brand", any_of="acme")]),
    ):
        with pytest.raises(ValueError, match=r"is the one string '\w+'; give a list"):
            ask()
    both = Filter("price", any_of=["9"], below=3.0)
    with pytest.raises(ValueError, match="'price': has values and a range"):
        calls.search("shop", "drill", filters=[both])
