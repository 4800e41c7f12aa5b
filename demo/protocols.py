"""Before and after the rerank, under two protocols.

*funnel*: what Search returns. Before: its candidates by ``first_stage_rank``, after: as they came.
Products that nobody judged are worth nothing, though some may be good.

*judged list*: the judged products of each query, all of them and no others. Before: the order that
the same first stage gives them, its two legs held to these products and fused as ever; after: that
list through Rerank, the cross-encoder's order alone: nothing is blended.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from opensearchpy import OpenSearch

from demo.collection import Collection
from demo.stack import PROFILE, advice
from rerank_client import Document, RerankClient, SearchResult
from rerank_core.cluster.failures import cluster_errors
from rerank_core.cluster.fusion import reciprocal_rank_fusion
from rerank_core.cluster.profile import Leg
from rerank_core.cluster.release import resolve_alias
from rerank_core.measures import (
    Evaluation,
    PairedTest,
    Run,
    evaluate_funnel,
    evaluate_judged_list,
    paired_test,
)

Tick = Callable[[], None]


@dataclass(frozen=True)
class Comparison:
    """One protocol's measures before and after."""

    before: Evaluation
    after: Evaluation
    change: PairedTest
    """Of nDCG@10."""


def search_all(
    client: RerankClient, collection: Collection, depth: int, tick: Tick
) -> dict[str, SearchResult]:
    """Every query's candidates, reranked, by query id; one search at a time.

    Strict: raises a `ClientError` in place of an answer that is less than asked for.
    """
    results = {}
    for query, text in collection.queries.items():
        results[query] = client.search(PROFILE, text, page_size=depth, strict=True)
        tick()
    return results


def compare_funnel(collection: Collection, results: Mapping[str, SearchResult]) -> Comparison:
    """The funnel protocol on the answers of `search_all`."""
    before = {q: {hit.id: -hit.first_stage_rank for hit in r.hits} for q, r in results.items()}
    after = {q: {hit.id: -hit.rank for hit in r.hits} for q, r in results.items()}
    return _compare(evaluate_funnel, collection, before, after)


def compare_judged_lists(
    client: RerankClient, first_stage: FirstStage, collection: Collection, tick: Tick
) -> Comparison:
    """The judged list protocol; strict as `search_all`."""
    fields = client.model_info().recipe_fields
    before, after = {}, {}
    for query, text in collection.queries.items():
        order = first_stage.order(text, sorted(collection.judgments[query]))
        documents = [
            Document(product, fields=_fields(collection.products[product], fields))
            for product in order
        ]
        ranking = client.rerank(text, documents, strict=True)
        before[query] = _by_place(order)
        after[query] = _by_place([document.id for document in ranking.documents])
        tick()
    return _compare(evaluate_judged_list, collection, before, after)


class FirstStage:
    """The profile's first stage held to given products."""

    def __init__(self, client: RerankClient, cluster: OpenSearch, alias: str) -> None:
        self._client = client
        self._cluster = cluster
        self._index, release = resolve_alias(cluster, alias)
        self._templates = release.templates
        self._weights: Mapping[Leg, float] = advice()["legs"]  # as the sidecar's profile

    def order(self, query: str, products: Sequence[str]) -> list[str]:
        """All `products`, best first. Those that no leg found stand last, in the given order."""
        vector = self._client.embed([query]).vectors[0]
        size = len(products)
        common = {
            "size": size,
            "filters": [{"ids": {"values": list(products)}}],
            "source_fields": False,
        }
        legs: dict[Leg, list[tuple[str, float]]] = {
            "lexical": self._leg("lexical", {**common, "query": query, "facets": {}}),
            "vector": self._leg("vector", {**common, "vector": vector, "k": size}),
        }
        fused = [product.id for product in reciprocal_rank_fusion(legs, self._weights)]
        return fused + sorted(set(products) - set(fused), key=list(products).index)

    def _leg(self, leg: Leg, parameters: Mapping[str, Any]) -> list[tuple[str, float]]:
        with cluster_errors(f"ordering judged products by leg {leg}"):
            answer = self._cluster.search_template(
                index=self._index, body={"id": self._templates[leg], "params": parameters}
            )
        return [(hit["_id"], hit["_score"]) for hit in answer["hits"]["hits"]]


def _compare(
    evaluate: Callable[..., Evaluation], collection: Collection, before: Run, after: Run
) -> Comparison:
    first = evaluate(collection.judgments, before, collection.scale)
    last = evaluate(collection.judgments, after, collection.scale)
    return Comparison(first, last, paired_test(last.values["nDCG@10"], first.values["nDCG@10"]))


def _by_place(order: Sequence[str]) -> dict[str, float]:
    return {product: -float(place) for place, product in enumerate(order)}


def _fields(product: Mapping[str, Any], names: Sequence[str]) -> dict[str, list[str]]:
    """The fields that the model reads, as strings; missing ones left out."""
    found = {name: product.get(name) for name in names}
    return {
        name: [str(item) for item in (value if isinstance(value, list) else [value])]
        for name, value in found.items()
        if value is not None
    }
