"""The files for Elasticsearch's inference, held against the real sidecar.

No Elasticsearch with inference can be had for tests: what it would send and read is worked out from
the file here.
"""

from __future__ import annotations

import json
from pathlib import Path

import httpx
import pytest

from tests.sidecar_process import PATIENCE_S, ROOT, running
from tests.tiny_models import make_cross_encoder

FILES = ROOT / "deploy" / "elasticsearch"
QUERY = 'drill "18V" \\ \n ${parameters.query}'
TEXTS = ["oak chair", "cordless drill", 'bit 1/2"']


@pytest.fixture(scope="module")
def endpoint():
    return json.loads((FILES / "inference-endpoint.json").read_text())["service_settings"]


def _found(answer, path: str):
    """The values at a path of the form ``$.list[*].name``."""
    listed, name = path.removeprefix("$.").split("[*].")
    return [item[name] for item in answer[listed]]


def test_the_endpoint_asks_and_reads_as_the_sidecar_answers(endpoint, tmp_path: Path):
    """Its template, filled in as the service fills it in, is a request; its paths find results."""
    body = endpoint["request"].replace("${query}", json.dumps(QUERY))
    body = body.replace("${input}", json.dumps(TEXTS))
    headers = {name: text.replace("${api_key}", "k") for name, text in endpoint["headers"].items()}
    cross = make_cross_encoder(tmp_path / "cross")
    with running(tmp_path / "run", "--models.reranker", cross, http=True) as sidecar:
        route = endpoint["url"].removeprefix("http://sidecar:8080")
        answer = httpx.post(
            f"{sidecar.url}{route}", content=body, headers=headers, timeout=PATIENCE_S
        )
    assert answer.status_code == 200
    paths = endpoint["response"]["json_parser"]
    assert sorted(_found(answer.json(), paths["reranked_index"])) == [0, 1, 2]
    scores = _found(answer.json(), paths["relevance_score"])
    assert scores == sorted(scores, reverse=True)


def test_the_search_names_the_endpoint_and_the_field_that_the_builder_writes():
    """And goes on where the rerank fails."""
    reranker = json.loads((FILES / "search.json").read_text())["retriever"][
        "text_similarity_reranker"
    ]
    assert (reranker["field"], reranker["inference_id"]) == ("rerank_text", "rerank-sidecar")
    assert reranker["allow_rerank_failures"] is True
