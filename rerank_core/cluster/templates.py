"""Search templates that the cluster stores and runs: the legs of the first stage."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from importlib.resources import files

from opensearchpy import OpenSearch

from rerank_core.cluster.failures import cluster_errors

_HASH_DIGITS = 12
_SUFFIX = ".mustache"


@dataclass(frozen=True, slots=True)
class Template:
    """A mustache search template. Another source is another id, so a live one never changes."""

    name: str
    """Such as ``lexical``."""
    source: str
    """Says in its opening comment which parameters it takes."""

    @property
    def id(self) -> str:
        """``name@hash``, under which the cluster stores it."""
        return f"{self.name}@{hashlib.sha256(self.source.encode()).hexdigest()[:_HASH_DIGITS]}"


def load_templates() -> tuple[Template, ...]:
    """All templates of this package, by name."""
    found = (files(__package__) / "templates").iterdir()
    return tuple(
        Template(file.name.removesuffix(_SUFFIX), file.read_text(encoding="utf-8"))
        for file in sorted(found, key=lambda file: file.name)
        if file.name.endswith(_SUFFIX)
    )


def push(client: OpenSearch, templates: Iterable[Template]) -> dict[str, str]:
    """Stores the templates; their ids by name. Safe to repeat. Raises `ClusterError`."""
    ids = {}
    for template in templates:
        with cluster_errors(f"storing search template {template.id}"):
            client.put_script(
                id=template.id, body={"script": {"lang": "mustache", "source": template.source}}
            )
        ids[template.name] = template.id
    return ids
