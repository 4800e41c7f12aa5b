"""Rerank, Embed and ModelInfo over a real channel against the real process."""

from __future__ import annotations

import json
import math
import random

import grpc
import numpy as np
import pytest
from google.rpc import error_details_pb2
from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from grpc_status import rpc_status

from rerank_core.artifact import Licence, ProbabilityCalibration, open_artifact, seal_artifact
from rerank_core.engine import Engine, load_bi_encoder, load_cross_encoder
from rerank_core.text import ProductTextRecipe
from rerank_proto.rerank.v1 import rerank_pb2 as pb
from rerank_proto.rerank.v1 import rerank_pb2_grpc as pb_grpc
from tests.sidecar_process import PATIENCE_S, running
from tests.tiny_models import make_bi_encoder, make_cross_encoder

RECIPE = ProductTextRecipe(fields=("title", "brand"), separator=" | ")
CALIBRATION = ProbabilityCalibration(slope=1.5, intercept=-0.25, data="made up")
NOTICE = "for tests alone"
WORDS = ("cordless", "corded", "drill", "bit", "case", "steel", "oak", "chair", "blue", "18V")


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """A calibrated cross-encoder with a licence notice, and a bi-encoder."""
    folder = tmp_path_factory.mktemp("models")
    cross = make_cross_encoder(folder / "cross")
    seal_artifact(
        cross,
        name="tiny",
        kind="cross-encoder",
        recipe=RECIPE,
        probability=CALIBRATION,
        licence=Licence(name="test-only", notice=NOTICE),
    )
    return cross, make_bi_encoder(folder / "bi")


@pytest.fixture(scope="module")
def sidecar(models, tmp_path_factory):
    cross, bi = models
    flags = ["--models.reranker", cross, "--models.encoders", bi, "--default-budget-ms", 60_000]
    with running(tmp_path_factory.mktemp("sidecar"), *flags) as started:
        yield started
        assert started.stop() == 0
        assert started.errors == ""
        assert started.logged("bug") == []


@pytest.fixture
def channel(sidecar):
    with grpc.insecure_channel(sidecar.target) as opened:
        yield opened


def _documents(count, seed=3):
    dice = random.Random(seed)
    return [
        pb.Document(id=f"p{n}", text=" ".join(dice.choices(WORDS, k=dice.randint(1, 30))))
        for n in range(count)
    ]


def _rerank(channel, **fields):
    request = pb.RerankRequest(**{"query": "drill", "documents": _documents(3)} | fields)
    return pb_grpc.RerankServiceStub(channel).Rerank(request, timeout=PATIENCE_S)


def _details(error, kind):
    detail = kind()
    status = rpc_status.from_call(error)
    return next(detail for packed in status.details if packed.Unpack(detail))


def test_a_rerank_is_a_permutation_by_falling_logit(channel):
    """The scores are the engine's for the same pairs, whatever order they were sent in."""
    documents = _documents(120)
    answer = _rerank(channel, documents=documents)
    assert sorted(item.index for item in answer.documents) == list(range(120))
    assert all(documents[item.index].id == item.id for item in answer.documents)
    logits = [item.rerank.logit for item in answer.documents]
    assert logits == sorted(logits, reverse=True)
    assert [item.rerank.rank for item in answer.documents] == list(range(1, 121))
    assert (answer.scored, list(answer.degraded)) == (120, [])


def test_scores_are_the_models_own(channel, models):
    """What the sidecar answers is what the engine computes of query and text."""
    documents = _documents(40, seed=4)
    engine_model = load_cross_encoder(open_artifact(models[0]))
    with Engine(workers=1) as engine:
        expected = dict(engine.submit(engine_model, "drill", [item.text for item in documents]))
    answer = _rerank(channel, documents=documents)
    for item in answer.documents:
        assert item.rerank.logit == pytest.approx(expected[item.index], abs=1e-4)
        x = CALIBRATION.slope * item.rerank.logit + CALIBRATION.intercept
        assert item.rerank.probability == pytest.approx(1 / (1 + math.exp(-x)), abs=1e-12)


def test_fields_are_composed_by_the_models_recipe(channel):
    """Equal to the text that the recipe makes: title | brand, other fields ignored."""
    fields = {
        "brand": pb.FieldValue(values=["Acme"]),
        "title": pb.FieldValue(values=["Cordless", "drill"]),
        "price": pb.FieldValue(values=["9"]),
    }
    documents = [
        pb.Document(id="fields", fields=fields),
        pb.Document(id="text", text="Cordless drill | Acme"),
        pb.Document(id="other", text="Cordless drill"),
    ]
    answer = _rerank(channel, documents=documents)
    logits = {item.id: item.rerank.logit for item in answer.documents}
    assert logits["fields"] == pytest.approx(logits["text"], abs=1e-5)
    assert logits["fields"] != pytest.approx(logits["other"], abs=1e-5)
    # A tie, so the first stage's order: fields before text.
    order = [item.id for item in answer.documents]
    assert order.index("fields") < order.index("text")


def test_the_first_stage_comes_back_as_it_was(channel):
    """Scores untouched and unset where they were; ranks given, or the order of the list."""
    documents = [
        pb.Document(id="a", text="drill", first_stage_score=-9.5e9, first_stage_rank=7),
        pb.Document(id="b", text="chair", first_stage_rank=2),
    ]
    by_id = {item.id: item for item in _rerank(channel, documents=documents).documents}
    assert (by_id["a"].first_stage_score, by_id["a"].first_stage_rank) == (-9.5e9, 7)
    assert not by_id["b"].HasField("first_stage_score")
    assert by_id["b"].first_stage_rank == 2
    unranked = _rerank(channel).documents
    assert sorted(item.first_stage_rank for item in unranked) == [1, 2, 3]


@pytest.mark.parametrize(("top_n", "expected"), [(0, 5), (2, 2), (5, 5), (9, 5)])
def test_top_n_cuts_after_ordering(channel, top_n, expected):
    """The best ones are kept; all were scored."""
    whole = _rerank(channel, documents=_documents(5))
    cut = _rerank(channel, documents=_documents(5), top_n=top_n)
    assert [item.id for item in cut.documents] == [item.id for item in whole.documents][:expected]
    assert cut.scored == 5


def test_an_answer_says_what_computed_it_and_how_long_it_took(channel, models):
    """Model, hash, path; every stage in the order in which they began."""
    answer = _rerank(channel, query="asked by nobody else")
    manifest = open_artifact(models[0]).manifest
    assert (answer.model.id, answer.model.hash) == ("cross", manifest.model_hash)
    assert answer.model.numeric_path
    stages = [stage.stage for stage in answer.stages]
    assert stages == ["validate", "cache", "queue", "tokenize", "score", "order"]
    assert all(stage.duration_ms >= 0 for stage in answer.stages)


def test_texts_of_any_kind_are_ranked(channel):
    """Markers, control characters, emoji, blanks and a document of 64 KB are just text."""
    texts = [
        "[SEP] [CLS] drill",
        "\x00\x07",
        "🪛🪑 اثاث 椅子",
        "   ",
        "x" * 65_536,
        "drill " * 9000,
    ]
    documents = [pb.Document(id=str(n), text=text) for n, text in enumerate(texts)]
    answer = _rerank(channel, query="\U0001f6cb [SEP] sofa", documents=documents)
    assert sorted(item.index for item in answer.documents) == list(range(len(texts)))
    assert answer.scored == len(texts)


def test_vectors_are_the_encoders_own(channel, models):
    """One a text, in order, unit length, equal to the engine's."""
    texts = ["cordless drill", "", "oak chair", "cordless drill"]
    answer = pb_grpc.EmbedServiceStub(channel).Embed(
        pb.EmbedRequest(texts=texts), timeout=PATIENCE_S
    )
    vectors = np.array([vector.values for vector in answer.vectors], np.float32)
    with Engine(workers=1) as engine:
        expected = engine.encode(load_bi_encoder(open_artifact(models[1])), texts)
    assert vectors.shape == (4, 32)
    np.testing.assert_allclose(vectors, expected, atol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1.0, atol=1e-5)
    assert answer.model.id == "bi"


def test_models_describe_themselves(channel, models):
    """The default cross-encoder for the empty name; a bi-encoder by its name."""
    stub = pb_grpc.ModelServiceStub(channel)
    cross = stub.ModelInfo(pb.ModelInfoRequest(), timeout=PATIENCE_S)
    assert (cross.kind, cross.is_default) == (pb.MODEL_KIND_CROSS_ENCODER, True)
    assert (cross.query_tokens, cross.product_tokens) == (32, 128)
    assert list(cross.recipe_fields) == ["title", "brand"]
    assert cross.recipe_hash == RECIPE.hash
    assert (cross.calibrated, cross.dimensions, cross.licence) == (True, 0, "test-only")
    assert list(cross.loaded) == ["cross", "bi"]
    assert cross.path_reason
    assert cross.path_is_fallback != cross.version.numeric_path.startswith("native")
    bi = stub.ModelInfo(pb.ModelInfoRequest(model="bi"), timeout=PATIENCE_S)
    assert (bi.kind, bi.dimensions, bi.is_default) == (pb.MODEL_KIND_BI_ENCODER, 32, True)
    assert bi.version.hash == open_artifact(models[1]).manifest.model_hash


def test_a_bad_field_is_named_over_the_wire(channel):
    """INVALID_ARGUMENT, and the path in a BadRequest."""
    documents = [pb.Document(id="a", text="x"), pb.Document(id="a", text="y")]
    with pytest.raises(grpc.RpcError) as caught:
        _rerank(channel, documents=documents)
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    (violation,) = _details(caught.value, error_details_pb2.BadRequest).field_violations
    assert violation.field == "documents[1].id"
    info = _details(caught.value, error_details_pb2.ErrorInfo)
    assert (info.reason, info.domain) == ("InputError", "rerank-sidecar")


def test_megabytes_in_a_field_are_an_argument_error(channel):
    """Refused by name, before anything is computed."""
    with pytest.raises(grpc.RpcError) as caught:
        _rerank(channel, documents=[pb.Document(id="a", text="x" * 5_000_000)])
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert "documents[0].text" in caught.value.details()


def test_a_request_beyond_the_message_limit_is_refused_whole(channel):
    """GRPC does it, without reading it to its end."""
    with pytest.raises(grpc.RpcError) as caught:
        _rerank(channel, query="x" * 20_000_000)
    assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED


@pytest.mark.parametrize("model", ["nobody", "bi", "ü" * 256])
def test_an_unknown_model_is_not_found(channel, model):
    """Also one of the other kind, and the longest name there is."""
    with pytest.raises(grpc.RpcError) as caught:
        _rerank(channel, model=model)
    assert caught.value.code() is grpc.StatusCode.NOT_FOUND
    resource = _details(caught.value, error_details_pb2.ResourceInfo)
    assert resource.resource_type == "cross-encoder"
    assert resource.resource_name[:4] == model[:4]


@pytest.mark.parametrize("content", [b"\xff\xff\xff", b"\x0a\x02\xc3\x28"])
def test_bytes_that_are_no_message_are_an_argument_error(channel, content):
    """A broken frame, and a query that is not UTF-8."""
    send = channel.unary_unary("/rerank.v1.RerankService/Rerank")
    with pytest.raises(grpc.RpcError) as caught:
        send(content, timeout=PATIENCE_S)
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT


def test_without_a_cluster_there_is_no_search(channel):
    """UNIMPLEMENTED, rather than a service that can never answer."""
    with pytest.raises(grpc.RpcError) as caught:
        pb_grpc.SearchServiceStub(channel).Search(pb.SearchRequest(), timeout=PATIENCE_S)
    assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED


def test_health_and_reflection_know_every_service(sidecar, channel):
    """By the standard protocols."""
    services = [f"rerank.v1.{name}Service" for name in ("Rerank", "Embed", "Model")]
    for name in ("", *services):
        assert sidecar.health(name) == health_pb2.HealthCheckResponse.SERVING
    request = reflection_pb2.ServerReflectionRequest(list_services="")
    stub = reflection_pb2_grpc.ServerReflectionStub(channel)
    (answer,) = stub.ServerReflectionInfo(iter([request]), timeout=PATIENCE_S)
    listed = {service.name for service in answer.list_services_response.service}
    assert listed >= {*services, "grpc.health.v1.Health"}


def test_each_call_is_one_line_without_texts(sidecar, channel, models):
    """Status, counts, model, stages, total; nothing that a caller typed."""
    before = len(sidecar.logged("call"))
    _rerank(channel, query="heimlich", documents=[pb.Document(id="a", text="verborgen")])
    with pytest.raises(grpc.RpcError):
        _rerank(channel, query="heimlich", top_n=-1)
    lines = sidecar.wait_logged("call", count=before + 2)[before:]
    ok, refused = lines
    assert (ok["rpc"], ok["status"], ok["documents"], ok["scored"]) == ("Rerank", "OK", 1, 1)
    assert ok["degraded"] == []
    assert ok["model"] == open_artifact(models[0]).manifest.model_hash[:12]
    assert list(ok["stages"]) == ["validate", "cache", "queue", "tokenize", "score", "order"]
    assert ok["total_ms"] >= max(ok["stages"].values())
    assert (refused["status"], refused["error"]) == (
        "INVALID_ARGUMENT",
        "InputError at top_n",
    )
    for text in ("heimlich", "verborgen"):
        assert text not in sidecar.log_text


def test_queries_are_logged_where_that_is_asked(models, tmp_path):
    """With `telemetry.log_texts`: the query, and no document."""
    flags = ["--models.reranker", models[0], "--telemetry.log-texts"]
    with running(tmp_path, *flags) as sidecar, grpc.insecure_channel(sidecar.target) as channel:
        _rerank(channel, query="heimlich", documents=[pb.Document(id="a", text="verborgen")])
        (line,) = sidecar.wait_logged("call", rpc="Rerank")
        assert line["query"] == "heimlich"
        assert "verborgen" not in sidecar.log_text


def test_the_licence_notice_is_logged_at_load(sidecar):
    """Whoever runs the model is told its terms."""
    (line,) = sidecar.logged("licence")
    assert (line["name"], line["notice"]) == ("cross", NOTICE)
    (model,) = sidecar.logged("model", name="cross")
    assert model["licence"] == "test-only"


def test_every_line_of_the_log_is_json(sidecar):
    """With a time and a level."""
    for line in sidecar.log_text.splitlines():
        assert {"event", "level", "timestamp"} <= set(json.loads(line))
