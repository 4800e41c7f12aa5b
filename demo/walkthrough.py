"""The whole funnel on one collection: index, first stage, rerank, what it is worth."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from rich.console import Console
from rich.text import Text

from demo.catalogue import write_catalogue
from demo.collection import Collection, read_collection
from demo.protocols import (
    Comparison,
    FirstStage,
    compare_funnel,
    compare_judged_lists,
    search_all,
)
from demo.stack import Models, advice, build_index, running_sidecar
from demo.view import show_model, show_orders, show_quality, show_settings, show_stages
from local_cluster import Say, Ticker, use_or_start
from rerank_client import RerankClient, SearchResult
from rerank_core.cluster.connection import connect
from rerank_core.cluster.settings import ClusterSettings
from rerank_core.errors import ConfigError

DEPTH = 100
"""Candidates of each leg, and of the fusion."""

# Measuring must not end in half an answer because the machine is busy.
_PATIENCE_S = 120.0
_SHOWN_QUERIES = 5
_OUT = Path("out")
_ALIAS = "walkthrough-"


@dataclass(frozen=True)
class Plan:
    """What to walk through."""

    data: Path | None = None
    """A BEIR folder; None makes one up."""
    split: str = "dev"
    models: Models = field(default_factory=Models)
    out: Path = _OUT
    """Where the made-up catalogue and rejected rows go."""


def walk_through(plan: Plan, console: Console) -> None:
    """Shows the funnel at work, and stops all that it started, whichever way it ends.

    Raises `RerankError`, and `ClientError` where the sidecar refuses a call.
    """
    say = partial(_say, console)
    collection = read_collection(_folder(plan, say), plan.split)
    _introduce(collection, say)
    alias = alias_of(collection.folder)
    with use_or_start(say=say) as cluster:
        say(f"building the index behind alias {alias} ...")
        rejects = plan.out / f"{alias}.rejects.jsonl"
        build_index(collection.folder, alias, cluster, plan.models, rejects)
        with (
            running_sidecar(alias, DEPTH, cluster, plan.models, say) as target,
            RerankClient(target, timeout_s=_PATIENCE_S) as client,
        ):
            results = _search(collection, client, say)
            judged_lists = _rerank_judged(collection, client, cluster, alias, say)
            model = client.model_info()
    console.print()
    show_model(console, model)
    show_settings(console, advice())
    # Evenly spread over the list, so that nobody has picked them.
    step = max(1, len(results) // _SHOWN_QUERIES)
    for query in list(results)[::step][:_SHOWN_QUERIES]:
        show_orders(console, collection, query, results[query])
    show_stages(console, list(results.values()))
    show_quality(console, collection, [judged_lists, compare_funnel(collection, results)])
    if os.environ.get("OPENSEARCH_URL"):
        index = next(iter(results.values())).index
        say(f"index {index} and its alias {alias} stay on {cluster.url}; delete them at will")


def _folder(plan: Plan, say: Say) -> Path:
    """The collection's folder, made up where none was given."""
    try:
        plan.out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"{plan.out}: {error.strerror or error}; it must be a folder") from error
    if plan.data is not None:
        return plan.data
    made = plan.out / "demo"
    write_catalogue(made)
    say(f"made up a catalogue in {made}: products, queries and grades are all invented")
    return made


def _introduce(collection: Collection, say: Say) -> None:
    say(
        f"{collection.folder}: {len(collection.products):,} products, "
        f"{len(collection.queries)} queries with products of different grades"
    )
    if collection.strangers:
        say(f"{collection.strangers} judgments left out: the catalogue lacks their products")


def _search(collection: Collection, client: RerankClient, say: Say) -> dict[str, SearchResult]:
    total = len(collection.queries)
    count = _Count(f"searching {total} queries", total, say)
    results = search_all(client, collection, DEPTH, count.tick)
    count.done()
    return results


def _rerank_judged(
    collection: Collection, client: RerankClient, cluster: ClusterSettings, alias: str, say: Say
) -> Comparison:
    total = len(collection.queries)
    count = _Count(f"reranking {total} judged lists", total, say)
    with connect(cluster) as connection:
        first_stage = FirstStage(client, connection, alias)
        comparison = compare_judged_lists(client, first_stage, collection, count.tick)
    count.done()
    return comparison


def alias_of(folder: Path) -> str:
    """An alias that cannot be taken for a shop's own."""
    name = re.sub(r"[^a-z0-9_.-]+", "-", folder.resolve().name.lower())[:100]
    return _ALIAS + (name or "data")


class _Count:
    """Tells how many of so many are done."""

    def __init__(self, what: str, total: int, say: Say) -> None:
        self._ticker = Ticker(what, say)
        self._total = total
        self._done = 0

    def tick(self) -> None:
        self._done += 1
        self._ticker.tick(f"{self._done} of {self._total}")

    def done(self) -> None:
        self._ticker.done()


def _say(console: Console, line: str) -> None:
    # Text, since paths and products may look like markup.
    console.print(Text(line), soft_wrap=True)
