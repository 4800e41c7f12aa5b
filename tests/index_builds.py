"""What tests of whole builds share: small models, a free alias, and the index as it is."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from opensearchpy import OpenSearch
from rich.console import Console

from index_builder.gates import GateBounds
from index_builder.plan import Plan, Prepared, prepare
from index_builder.progress import Progress
from index_builder.rebuild import build
from index_builder.report import Report
from index_builder.sending import SendLimits
from rerank_core.cluster.settings import ClusterSettings

QUICK = SendLimits(most_items=100, first_wait_s=0.05, longest_wait_s=0.5, patience_s=60)
"""Small requests and short waits, so that small catalogues take many of them."""


def write_jsonl(path: Path, rows: Iterable[object]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def products(count: int, texts: int = 50) -> list[dict[str, Any]]:
    """Products whose few texts are quickly encoded."""
    return [
        {"_id": f"p{at}", "title": f"oak table {at % texts}", "price_cents": at}
        for at in range(count)
    ]


def indexes(client: OpenSearch, alias: str) -> list[str]:
    """All that were built for an alias."""
    return sorted(client.indices.get(index=f"{alias}-*"))


def contents(client: OpenSearch, index: str, *, vectors: bool = False) -> dict[str, dict[str, Any]]:
    """Every document of an index, without its vector's numbers unless these are asked for."""
    client.indices.refresh(index=index)
    source: Any = True if vectors else {"excludes": ["vector"]}
    body = {"size": 10_000, "query": {"match_all": {}}, "_source": source}
    hits = client.search(index=index, body=body)["hits"]["hits"]
    return {hit["_id"]: hit["_source"] for hit in hits}


def nothing() -> None:
    """What happens where no fault is planted."""


class Hooked(Progress):
    """Something happens once all documents are written, or when the index is merged."""

    def __init__(
        self, console: Console, on_loaded: Callable[[], object], on_merge: Callable[[], object]
    ) -> None:
        super().__init__(console)
        self._on_loaded = on_loaded
        self._on_merge = on_merge

    def note(self, text: str) -> None:
        """Says it, and lets it happen."""
        super().note(text)
        if text.strip().startswith("merging "):
            self._on_merge()

    def written(self, documents: int) -> None:
        """Says it, and lets it happen."""
        super().written(documents)
        self._on_loaded()


@dataclass
class Shop:
    """A catalogue to be built, and how."""

    client: OpenSearch
    settings: ClusterSettings
    plan: Plan
    file: Path
    said: io.StringIO = field(default_factory=io.StringIO)

    def build(
        self,
        settings: ClusterSettings | None = None,
        on_loaded: Callable[[], object] = nothing,
        on_merge: Callable[[], object] = nothing,
        **changes: Any,
    ) -> Report:
        """A build of the catalogue, by way of another address where one is given.

        `on_loaded` happens when all is written and nothing is counted, `on_merge` when the
        settings for loading are undone and nothing is verified.
        """
        progress = Hooked(Console(file=self.said), on_loaded, on_merge)
        return build(
            replace(self.plan, **changes), self.client, settings or self.settings, progress
        )

    def prepared(self, **changes: Any) -> Prepared:
        """What a build would prepare."""
        return prepare(replace(self.plan, **changes), self.client)

    @property
    def live(self) -> str:
        """The index that the alias stands for."""
        [index] = self.client.indices.get_alias(name=self.plan.alias)
        return index

    def contents(
        self, index: str | None = None, *, vectors: bool = False
    ) -> dict[str, dict[str, Any]]:
        """Of the live index, or another."""
        return contents(self.client, index or self.live, vectors=vectors)


MakeShop = Callable[[list[dict[str, Any]]], Shop]


def lenient(**changes: Any) -> GateBounds:
    """Gates that small catalogues of random vectors pass."""
    return GateBounds(**{"min_ratio_to_live": 0, "min_recall": 0, "vector_sample": 8, **changes})
