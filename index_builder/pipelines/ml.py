"""Connectors and remote models of ml-commons, found by their exact names."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from opensearchpy import OpenSearch

from rerank_core.cluster.failures import cluster_errors
from rerank_core.errors import ClusterRefused, ClusterTimeout

Json = dict[str, Any]

_ML = "/_plugins/_ml"
_NOT_FOUND, _BAD = 404, 400
_MOST = 1000
_POLL_S = 0.25
_PATIENCE_S = 60.0


@dataclass(frozen=True, slots=True)
class Model:
    """A remote model on the cluster."""

    id: str
    name: str
    state: str
    connector_id: str

    @property
    def is_deployed(self) -> bool:
        """Whether every node that should has it."""
        return self.state == "DEPLOYED"


def models(client: OpenSearch, name: str) -> list[Model]:
    """Those called ``name@...``. Raises `ClusterError`."""
    found = _search(client, "models", name)
    return [_model(hit["_id"], hit["_source"]) for hit in found]


def connectors(client: OpenSearch, name: str) -> dict[str, str]:
    """Ids to names of those called ``name@...``. Raises `ClusterError`."""
    return {hit["_id"]: hit["_source"]["name"] for hit in _search(client, "connectors", name)}


def get_model(client: OpenSearch, model_id: str) -> Model | None:
    """None where there is none of that id. Raises `ClusterError`."""
    found = _get(client, f"{_ML}/models/{model_id}")
    return None if found is None else _model(model_id, found)


def get_connector(client: OpenSearch, connector_id: str) -> Json | None:
    """Without its credential, which the cluster keeps to itself. Raises `ClusterError`."""
    return _get(client, f"{_ML}/connectors/{connector_id}")


def create_connector(client: OpenSearch, body: Json) -> str:
    """Its id. Raises `ClusterError`."""
    with cluster_errors(f"creating connector {body['name']}"):
        answer = _ask(client, "POST", f"{_ML}/connectors/_create", body)
    return str(answer["connector_id"])


def register_model(client: OpenSearch, body: Json) -> Model:
    """Not deployed yet. Raises `ClusterError`."""
    with cluster_errors(f"registering model {body['name']}"):
        answer = _ask(client, "POST", f"{_ML}/models/_register", body)
    return Model(str(answer["model_id"]), body["name"], "REGISTERED", body["connector_id"])


def deploy(client: OpenSearch, model: Model) -> None:
    """Comes back when it can be asked. Raises `ClusterError`, with the cluster's reason."""
    doing = f"deploying model {model.name}"
    with cluster_errors(doing):
        task = str(_ask(client, "POST", f"{_ML}/models/{model.id}/_deploy")["task_id"])
    ends_s = time.monotonic() + _PATIENCE_S
    while time.monotonic() < ends_s:
        with cluster_errors(doing):
            said = _ask(client, "GET", f"{_ML}/tasks/{task}")
        if said["state"] == "COMPLETED":
            return
        if said["state"] in {"FAILED", "COMPLETED_WITH_ERROR"}:
            raise ClusterRefused(f"{doing}: {said.get('error', 'no reason given')}", _BAD)
        time.sleep(_POLL_S)
    raise ClusterTimeout(f"{doing}: not done within {_PATIENCE_S:.0f} s")


def predict(client: OpenSearch, model: Model, query: str, texts: Sequence[str]) -> list[float]:
    """The score of each text, as the sidecar gives them through the cluster.

    Raises `ClusterError` where the sidecar does not answer, or not as the cluster wants it.
    """
    body = {"query_text": query, "text_docs": list(texts)}
    with cluster_errors(f"asking model {model.name}"):
        answer = _ask(client, "POST", f"{_ML}/_predict/text_similarity/{model.id}", body)
    outputs = answer["inference_results"]
    return [float(one["data"][0]) for output in outputs for one in output["output"]]


def remove_model(client: OpenSearch, model: Model) -> None:
    """Undeploys and deletes it. Raises `ClusterError`."""
    with cluster_errors(f"deleting model {model.name}"):
        _ask(client, "POST", f"{_ML}/models/{model.id}/_undeploy")
    ends_s = time.monotonic() + _PATIENCE_S
    while True:
        try:
            with cluster_errors(f"deleting model {model.name}"):
                _ask(client, "DELETE", f"{_ML}/models/{model.id}")
        except ClusterRefused:  # the nodes have not let go of it yet
            if time.monotonic() > ends_s:
                raise
            time.sleep(_POLL_S)
        else:
            return


def remove_connector(client: OpenSearch, connector_id: str) -> None:
    """Raises `ClusterError`, also where a model uses it."""
    with cluster_errors(f"deleting connector {connector_id}"):
        _ask(client, "DELETE", f"{_ML}/connectors/{connector_id}")


def _search(client: OpenSearch, kind: str, name: str) -> list[Json]:
    body = {"size": _MOST, "query": {"prefix": {"name.keyword": f"{name}@"}}}
    try:
        with cluster_errors(f"listing {kind}"):
            answer = _ask(client, "POST", f"{_ML}/{kind}/_search", body)
    except ClusterRefused as refusal:
        if refusal.status == _NOT_FOUND:  # there was never one
            return []
        raise
    hits: list[Json] = answer["hits"]["hits"]
    return hits


def _get(client: OpenSearch, path: str) -> Json | None:
    try:
        with cluster_errors(f"looking at {path.removeprefix(_ML)}"):
            return _ask(client, "GET", path)
    except ClusterRefused as refusal:
        if refusal.status == _NOT_FOUND:
            return None
        raise


def _model(model_id: str, said: Json) -> Model:
    state, connector = said.get("model_state", "UNKNOWN"), said.get("connector_id", "")
    return Model(model_id, said.get("name", model_id), state, connector)


def _ask(client: OpenSearch, method: str, path: str, body: Json | None = None) -> Json:
    answer: Json = client.transport.perform_request(method, path, body=body)
    return answer
