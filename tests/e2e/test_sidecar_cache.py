"""Remembered scores against the real process: bit-equal, for free, and switched off where asked."""

from __future__ import annotations

import re

import grpc
import httpx
import pytest

from rerank_core.text import DEFAULT_RECIPE
from rerank_proto.rerank.v1 import rerank_pb2 as pb
from rerank_proto.rerank.v1 import rerank_pb2_grpc as pb_grpc
from tests.serving_load import requests
from tests.sidecar_process import PATIENCE_S, running
from tests.tiny_models import make_cross_encoder

pytestmark = pytest.mark.kernel  # scores in fp32 are not remembered
REQUEST = pb.RerankRequest.FromString(requests(1, 120, 6)[0])


@pytest.fixture(scope="module")
def cross(tmp_path_factory):
    return make_cross_encoder(tmp_path_factory.mktemp("cache") / "cross")


def _rerank(sidecar, request=REQUEST):
    with grpc.insecure_channel(sidecar.target) as channel:
        return pb_grpc.RerankServiceStub(channel).Rerank(request, timeout=PATIENCE_S)


def _lookups(sidecar):
    page = httpx.get(f"{sidecar.url}/metrics").text
    found = dict(re.findall(r'score_cache_lookups_total\{outcome="(\w+)"\} (\d+)', page))
    return {outcome: int(count) for outcome, count in found.items()}


def _logits(answer):
    return {item.id: item.rerank.logit.hex() for item in answer.documents}


def test_a_remembered_answer_is_bit_equal_to_a_fresh_one(cross, tmp_path):
    """To its own first one, and to that of a server without a cache."""
    with running(tmp_path / "on", "--models.reranker", cross, http=True) as sidecar:
        first, second = _rerank(sidecar), _rerank(sidecar)
        assert _lookups(sidecar) == {"hit": 120, "miss": 120}
        lines = sidecar.wait_logged("call", rpc="Rerank", count=2)
        assert [line["cached"] for line in lines] == [0, 120]
        stages = [[stage.stage for stage in answer.stages] for answer in (first, second)]
        assert stages[0] == ["validate", "cache", "queue", "tokenize", "score", "order"]
        assert stages[1] == ["validate", "cache", "order"]
    with running(
        tmp_path / "off", "--models.reranker", cross, "--limits.score-cache-bytes", 0, http=True
    ) as sidecar:
        fresh = _rerank(sidecar)
        _rerank(sidecar)
        assert _lookups(sidecar) == {"hit": 0, "miss": 0}
    assert _logits(first) == _logits(second) == _logits(fresh)
    assert [item.id for item in first.documents] == [item.id for item in fresh.documents]


def test_ids_and_versions_are_never_trusted(cross, tmp_path):
    """The same text under another id is remembered, another text under the same id is not."""
    one = pb.Document(id="a", version="1", text="cordless drill")
    other = pb.Document(id="a", version="1", text="oak chair")
    renamed = pb.Document(id="b", version="2", text="cordless drill")
    name = DEFAULT_RECIPE.fields[0]
    fields = pb.Document(id="c", fields={name: pb.FieldValue(values=["cordless drill"])})
    with running(tmp_path, "--models.reranker", cross, http=True) as sidecar:
        scores = [
            _rerank(sidecar, pb.RerankRequest(query="drill", documents=[document]))
            .documents[0]
            .rerank.logit
            for document in (one, other, renamed, fields)
        ]
        assert scores[0] == scores[2] == scores[3] != scores[1]
        assert _lookups(sidecar) == {"hit": 2, "miss": 2}


def test_what_is_known_is_never_shed(cross, tmp_path):
    """A budget of nothing is enough for an answer from memory."""
    flags = ["--models.reranker", cross, "--default-budget-ms", 3, "--safety-margin-ms", 2]
    with running(tmp_path, *flags, "--safety-margin-us-per-document", 100, http=True) as sidecar:
        with grpc.insecure_channel(sidecar.target) as channel:
            stub = pb_grpc.RerankServiceStub(channel)
            assert list(stub.Rerank(REQUEST).degraded) == [pb.DEGRADED_REASON_DEADLINE]
            assert stub.Rerank(REQUEST, timeout=PATIENCE_S).scored == 120
            known = stub.Rerank(REQUEST)
        assert (known.scored, list(known.degraded)) == (120, [])
