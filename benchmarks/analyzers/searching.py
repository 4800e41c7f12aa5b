"""One index that holds every product by every analyzer, and what candidates find in it."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from opensearchpy import OpenSearch

from benchmarks.analyzers.candidates import ANALYZERS, BOOSTS, CHAR_FILTERS, FILTERS, Candidate
from index_builder.mapping import index_body
from index_builder.schema import BEIR
from index_builder.values import read_value
from rerank_core.cluster.dialect import Dialect, detect
from rerank_core.cluster.failures import cluster_errors, refusal
from rerank_core.errors import ClusterRefused
from rerank_core.measures import Run

HITS = 10
"""As many as nDCG@10 looks at."""
_AT_ONCE = 200


@contextmanager
def study_index(client: OpenSearch, products: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    """An index of words alone, which goes after the block.

    Raises `InputError` for a value that a build would reject, and `ClusterError`.
    """
    name = f"analyzers-{uuid.uuid4().hex}"
    body = study_body(detect(client))
    try:
        with cluster_errors(f"making index {name}"):
            client.indices.create(index=name, body=body)
        for part in _parts(products.items()):
            lines: list[Any] = []
            for key, row in part:
                lines += [{"index": {"_id": key}}, _document(row)]
            with cluster_errors(f"writing to {name}"):
                answer = client.bulk(index=name, body=lines, request_timeout=120)
            if answer["errors"]:
                refused = next(i["index"] for i in answer["items"] if "error" in i["index"])
                raise ClusterRefused(
                    f"writing to {name}: {refused['error'].get('reason')}", refused["status"]
                )
        with cluster_errors(f"merging {name}"):
            # Statistics of words do not count what was written twice.
            client.indices.forcemerge(index=name, max_num_segments=1, request_timeout=600)
            client.indices.refresh(index=name)
        yield name
    finally:
        # Also where its making was not acknowledged in time.
        with cluster_errors(f"deleting {name}"):
            client.indices.delete(index=name, ignore_unavailable=True)


def study_body(dialect: Dialect) -> dict[str, Any]:
    """The shipped index without vectors, each field of words also by every analyzer."""
    body = index_body(BEIR, 1, dialect, shards=1)
    del body["mappings"]["properties"]["vector"]
    analysis = body["settings"]["analysis"]
    analysis["filter"] |= FILTERS
    analysis["char_filter"] = dict(CHAR_FILTERS)
    analysis["analyzer"] |= {
        f"study_{name}": {"type": "custom", **kind} for name, kind in ANALYZERS.items()
    }
    for field in BOOSTS:
        below = body["mappings"]["properties"][field].setdefault("fields", {})
        below |= {name: {"type": "text", "analyzer": f"study_{name}"} for name in ANALYZERS}
    return body


def run_of(client: OpenSearch, index: str, candidate: Candidate, queries: Mapping[str, str]) -> Run:
    """What a candidate finds for each query. Raises `ClusterError`."""
    found: dict[str, dict[str, float]] = {}
    doing = f"searching {index} by {candidate.name}"
    for part in _parts(queries.items()):
        lines: list[Any] = []
        for _, text in part:
            lines += [{"index": index}, candidate.body(text, HITS)]
        with cluster_errors(doing):
            answer = client.msearch(body="".join(json.dumps(line) + "\n" for line in lines))
        for (query, _), response in zip(part, answer["responses"], strict=True):
            if "error" in response:
                raise refusal(int(response.get("status", 500)), response, doing)
            hits = response["hits"]["hits"]
            found[query] = {hit["_id"]: float(hit["_score"]) for hit in hits}
    return found


def _document(row: Mapping[str, Any]) -> dict[str, Any]:
    values = {name: read_value(name, BEIR.fields[name], row.get(name)) for name in BOOSTS}
    return {name: value for name, value in values.items() if value is not None}


def _parts(items: Iterable[tuple[str, Any]]) -> Iterator[Sequence[tuple[str, Any]]]:
    whole = [*items]
    for start in range(0, len(whole), _AT_ONCE):
        yield whole[start : start + _AT_ONCE]
