"""What is wrong with the search pipelines that rerank."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Literal

from opensearchpy import OpenSearch

from index_builder.pipelines import ml
from index_builder.pipelines.push import fault_of, read_pipelines, require_plugins
from index_builder.pipelines.settings import private_allowed, read_settings, trusts
from rerank_core.errors import ConfigError

Finding = tuple[Literal["good", "advice", "fault"], str, str]
_PUSH = "python -m index_builder pipelines push"


def check_pipelines(client: OpenSearch) -> Iterator[Finding]:
    """Level, subject and detail of everything that was looked at. Raises `ClusterError`.

    A cluster without a rerank processor has nothing to look at.
    """
    try:
        require_plugins(client)
    except ConfigError:
        return
    reranking = [
        (name, processor["rerank"])
        for name, pipeline in sorted(read_pipelines(client).items())
        for processor in pipeline.get("response_processors", [])
        if "ml_opensearch" in processor.get("rerank", {})
    ]
    if not reranking:
        yield "advice", "stock rerank", f"no search pipeline reranks; to have one: {_PUSH}"
        return
    settings = read_settings(client)
    for name, processor in reranking:
        yield from _pipeline(client, f"pipeline {name}", processor, settings)


def _pipeline(
    client: OpenSearch, about: str, processor: Mapping[str, Any], settings: dict[str, Any]
) -> Iterator[Finding]:
    if processor.get("ignore_failure") is not True:
        yield "fault", about, f"lacks ignore_failure: a rerank that fails ends the search; {_PUSH}"
    if len(processor.get("context", {}).get("document_fields", [])) != 1:
        yield "advice", about, "joins several fields without a space between; give it one"
    model_id = processor["ml_opensearch"].get("model_id", "")
    model = ml.get_model(client, model_id)
    if model is None:
        yield "fault", about, f"its model {model_id} is gone, so nothing is reranked; {_PUSH}"
        return
    connector = ml.get_connector(client, model.connector_id) if model.connector_id else None
    if connector is None:
        yield "fault", about, f"the connector of its model {model.name} is gone; {_PUSH}"
        return
    if not model.is_deployed:
        yield "fault", about, f"its model {model.name} is {model.state}, not deployed; {_PUSH}"
        return
    url = connector["actions"][0]["url"]
    limits = connector.get("client_config", {})
    if int(limits.get("read_timeout", 30_000)) > 30:  # as it comes it waits for hours
        yield "fault", about, f"waits {limits.get('read_timeout', 30_000)} s for {url}; {_PUSH}"
    if not trusts(settings, url):
        yield "fault", about, f"the cluster does not trust {url}; {_PUSH}"
    elif fault := fault_of(client, model):
        yield "fault", about, f"searches go on in first-stage order: {fault}"
        if not private_allowed(settings):
            yield "advice", about, "if that address is private: pipelines push --private-address"
    else:
        yield "good", about, f"reranks by {model.name} at {url}"
