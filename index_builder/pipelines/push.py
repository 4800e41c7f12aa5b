"""A stock rerank put on the cluster, blue and green."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from opensearchpy import OpenSearch

from index_builder.pipelines import ml
from index_builder.pipelines.settings import open_way
from index_builder.pipelines.stock import StockRerank
from rerank_core.cluster.failures import cluster_errors
from rerank_core.cluster.features import find_features
from rerank_core.cluster.release import index_behind
from rerank_core.errors import ClusterError, ClusterRefused, ConfigError, ReleaseError

_NEEDED = ("opensearch-ml", "opensearch-neural-search")
_NOT_FOUND, _NO_KEY = 404, 401
KEY = "RERANK_API_KEY"
"""The variable with the sidecar's key."""
PROBE = ('a ${probe} of "quotes"', ("${one}", "two"))
"""A query and products that must come through whole."""


@dataclass(frozen=True, slots=True)
class Pushed:
    """What became of a push."""

    pipeline: str
    model: str
    """Name of the model, and of its connector."""
    changed: tuple[str, ...]
    """What was made, changed or deleted; empty: all was as it should be."""
    fault: str = ""
    """Why the pipeline was not touched."""
    kept: tuple[str, ...] = ()
    """Old models that stay, and the pipelines that rerank by them."""

    def lines(self) -> list[str]:
        """For a person."""
        if self.fault:
            return [*self.changed, f"pipeline {self.pipeline} was not touched: {self.fault}"]
        return [*self.changed, *self.kept, f"pipeline {self.pipeline} reranks by {self.model}"]


@dataclass
class _Made:
    """Connector and model that this push has made, until the pipeline uses them."""

    client: OpenSearch
    name: str
    """Of both."""
    connector: str = ""
    model: ml.Model | None = None

    @property
    def names(self) -> list[str]:
        """Of what is there, with ids."""
        model = [f"model {self.name} {self.model.id}"] if self.model else []
        return [*model, *([f"connector {self.name} {self.connector}"] if self.connector else [])]

    def take_back(self) -> list[str]:
        """Removes it; for a person, what went and what is left."""
        lines = []
        try:
            if self.model:
                ml.remove_model(self.client, self.model)
                lines.append(f"removed model {self.name} {self.model.id}")
                self.model = None
            if self.connector:
                ml.remove_connector(self.client, self.connector)
                lines.append(f"removed connector {self.name} {self.connector}")
                self.connector = ""
        except ClusterError as error:
            lines.append(f"{_left(self.names)}: {error}")
        return lines


def _left(names: Sequence[str]) -> str:
    return f"left on the cluster, where the next push goes on from it: {', '.join(names)}"


def push_pipeline(
    client: OpenSearch,
    stock: StockRerank,
    *,
    alias: str | None = None,
    private: bool = False,
    untried: bool = False,
) -> Pushed:
    """Makes the cluster rerank by the sidecar; what is there and equal stays as it is.

    A change is a new connector and model beside those in use; the pipeline moves to them in one
    request once the sidecar has answered through them (`untried`: whether or not), and only then
    the old ones go, but for those that other pipelines name, which are in `kept`. Where it fails
    before that, the new ones go; what could not be removed is named in `changed`, or in a note of
    the error. `alias` is whose index must hold the field. `private` lets connectors call private
    addresses. Raises `ConfigError`, `ReleaseError`, `ClusterError`.
    """
    require_plugins(client)
    if alias is not None:
        _require_field(client, alias, stock.text_field)
    changed = [f"setting {name}" for name in open_way(client, stock, private=private)]
    made = _Made(client, stock.versioned_name)
    try:
        model = _model(client, stock, changed, made)
        fault = "" if untried else fault_of(client, model)
    except BaseException as error:  # Ctrl-C amid a deploy, too
        for line in made.take_back():
            error.add_note(line)
        raise
    if fault:
        changed += made.take_back()
        return Pushed(stock.name, stock.versioned_name, tuple(changed), fault)
    body = stock.pipeline(model.id)
    try:
        if read_pipelines(client).get(stock.name) != body:
            with cluster_errors(f"writing pipeline {stock.name}"):
                client.transport.perform_request(
                    "PUT", f"/_search/pipeline/{stock.name}", body=body
                )
            changed.append(f"pipeline {stock.name}")
    except ClusterError as error:
        # Not taken back: a request that ran out of time may have moved the pipeline to them.
        if left := made.names:
            error.add_note(_left(left))
        raise
    kept = _remove_others(client, stock, model, changed)
    return Pushed(stock.name, stock.versioned_name, tuple(changed), kept=tuple(kept))


def require_plugins(client: OpenSearch) -> None:
    """Raises `ConfigError` on a cluster that has no rerank of its own."""
    features = find_features(client)
    if missing := [part for part in _NEEDED if part not in features.parts]:
        raise ConfigError(
            f"{features.engine} {features.version} lacks {', '.join(missing)}, so it has no rerank "
            "processor; install them, or let the frontend ask the sidecar's Search"
        )


def read_pipelines(client: OpenSearch) -> dict[str, Any]:
    """All search pipelines by name. Raises `ClusterError`."""
    try:
        with cluster_errors("reading search pipelines"):
            found: dict[str, Any] = client.transport.perform_request("GET", "/_search/pipeline")
    except ClusterRefused as refusal:
        if refusal.status == _NOT_FOUND:
            return {}
        raise
    return found


def fault_of(client: OpenSearch, model: ml.Model) -> str:
    """Why the sidecar does not score through the model; empty where it does."""
    query, texts = PROBE
    try:
        scores = ml.predict(client, model, query, texts)
    except ClusterError as error:
        if isinstance(error, ClusterRefused) and error.status == _NO_KEY:  # the sidecar's own
            return f"model {model.name}: the sidecar wants a key that it knows; push with {KEY} set"
        return f"{error}{_mend(error) or '; does the sidecar run, with an HTTP port?'}"
    if len(scores) != len(texts):
        return f"model {model.name} gave {len(scores)} scores for {len(texts)} products"
    return ""


def _mend(error: ClusterError) -> str:
    said = str(error).lower()
    if "private ip" in said:
        return "; its address is private: give --private-address"
    if "trusted" in said:
        return "; push again"
    return ""


def _require_field(client: OpenSearch, alias: str, field: str) -> None:
    found = index_behind(client, alias)
    if found is None:
        raise ReleaseError(
            f"no alias {alias!r} on the cluster; build an index with "
            f"python -m index_builder rebuild CATALOGUE --alias {alias}"
        )
    index, mapping = found
    if field not in mapping.get("properties", {}):
        raise ReleaseError(
            f"index {index}: has no field {field!r}, so there is nothing to rerank by; rebuild it "
            "with python -m index_builder, or name another --field"
        )


def _model(client: OpenSearch, stock: StockRerank, changed: list[str], made: _Made) -> ml.Model:
    name = stock.versioned_name
    there = [model for model in ml.models(client, stock.name) if model.name == name]
    # One whose connector is gone is dead.
    for model in there:
        if ml.get_connector(client, model.connector_id) is None:
            continue
        if not model.is_deployed:
            ml.deploy(client, model)
            changed.append(f"deployed model {name}")
        return model
    left = [key for key, known in ml.connectors(client, stock.name).items() if known == name]
    if left:
        connector = left[0]
    else:
        try:
            connector = ml.create_connector(client, stock.connector())
        except ClusterRefused as refusal:
            raise ConfigError(f"{refusal}{_mend(refusal)}") from refusal
        made.connector = connector
        changed.append(f"connector {name}")
    made.model = model = ml.register_model(client, stock.model_body(connector))
    changed.append(f"model {name}")
    ml.deploy(client, model)
    return model


def _remove_others(
    client: OpenSearch, stock: StockRerank, model: ml.Model, changed: list[str]
) -> list[str]:
    """Removes what no pipeline names any more; a line for each that stays."""
    pipelines = read_pipelines(client)
    connectors, kept = {model.connector_id}, []
    for other in ml.models(client, stock.name):
        if other.id == model.id:
            continue
        if users := [name for name, body in pipelines.items() if other.id in _models_of(body)]:
            connectors.add(other.connector_id)
            kept.append(
                f"kept model {other.name} {other.id}: by it reranks {', '.join(sorted(users))}"
            )
            continue
        ml.remove_model(client, other)
        changed.append(f"removed model {other.name} {other.id}")
    for connector_id, name in ml.connectors(client, stock.name).items():
        if connector_id not in connectors:
            ml.remove_connector(client, connector_id)
            changed.append(f"removed connector {name} {connector_id}")
    return kept


def _models_of(part: Any) -> set[str]:
    """Ids of models that a pipeline names, in whatever processor."""
    if isinstance(part, Mapping):
        own = {str(part["model_id"])} if "model_id" in part else set()
        return own.union(*map(_models_of, part.values()))
    return set().union(*map(_models_of, part)) if isinstance(part, list) else set()
