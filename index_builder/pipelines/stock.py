"""What the cluster is told: a connector, a remote model, a search pipeline."""

from __future__ import annotations

import hashlib
import ipaddress
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal
from urllib.parse import urlsplit

from rerank_core.errors import ConfigError
from rerank_core.hashing import hash_json

Fusion = Literal["none", "minmax", "rrf"]
Json = dict[str, Any]

_HASH_DIGITS = 12
_NAME = re.compile(r"[a-z][a-z0-9_-]{0,63}")
_ROUTE = "/v2/rerank"
_BUDGET = "x-envoy-expected-rq-timeout-ms"
_WAY_BACK_MS = 200
"""Of the time that the cluster waits: what is left for the way there and back."""

# What is in a text as ${name} would be replaced by the connector's parameter of that name, or fail
# where there is none. The tokenizer reads both spellings as the same tokens. Texts come escaped.
_PRE_PROCESS = """\
String query = params.query_text.replace('${', '$ {');
StringBuilder documents = new StringBuilder();
for (String text : params.text_docs) {
  if (documents.length() > 0) documents.append(',');
  documents.append('"').append(text.replace('${', '$ {')).append('"');
}
return '{"parameters":{"query":"' + query + '","documents":[' + documents + ']}}';
"""

_PHASES: dict[Fusion, list[Json]] = {
    "none": [],
    "minmax": [
        {
            "normalization-processor": {
                "normalization": {"technique": "min_max"},
                "combination": {"technique": "arithmetic_mean"},
            }
        }
    ],
    "rrf": [{"score-ranker-processor": {"combination": {"technique": "rrf"}}}],
}


@dataclass(frozen=True)
class StockRerank:
    """A search pipeline that has the sidecar rerank. Raises `ConfigError` for what cannot be one.

    All that is on the cluster follows from it, so equal ones are one thing there.
    """

    name: str
    """Of the pipeline."""
    sidecar: str
    """Its HTTP address as the cluster's nodes reach it, such as ``http://sidecar:8080``."""
    text_field: str = "rerank_text"
    """What the sidecar reads of each hit."""
    model: str = ""
    """Of those that the sidecar has loaded; empty: its default."""
    read_timeout_s: int = 1
    """Then the search goes on in first-stage order; the cluster knows whole seconds only."""
    fusion: Fusion = "none"
    """How the pipeline fuses a ``hybrid`` query before it reranks."""
    key: str = field(default="", repr=False)
    """The sidecar's API key; empty: it asks for none."""

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise ConfigError(
                f"pipeline {self.name!r}: a name is 1 to 64 of a-z, 0-9, '_', '-', a letter first"
            )
        parts = urlsplit(self.sidecar)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.query:
            raise ConfigError(f"sidecar {self.sidecar!r}: write http://host:port of its HTTP port")
        if self.read_timeout_s < 1:
            raise ConfigError("read_timeout_s: at least 1; the cluster knows whole seconds only")

    @property
    def url(self) -> str:
        """Of the route."""
        return self.sidecar.rstrip("/") + _ROUTE

    @property
    def trusted(self) -> str:
        """The regular expression that lets the cluster call this sidecar and nothing else."""
        return f"^{re.escape(self.sidecar.rstrip('/'))}/.*$"

    @property
    def at_private_address(self) -> bool:
        """Whether its address is one that a cluster calls only when it is told to."""
        host = urlsplit(self.sidecar).hostname or ""
        try:
            return ipaddress.ip_address(host).is_private
        except ValueError:
            return host == "localhost"

    @cached_property
    def versioned_name(self) -> str:
        """Of connector and model: another one as soon as anything about them changes."""
        # A name is public, so the key goes in by a hash that is slow to guess from.
        key = hashlib.scrypt(self.key.encode(), salt=self.url.encode(), n=2**14, r=8, p=1).hex()
        return f"{self.name}@{hash_json([self._connector(), key])[:_HASH_DIGITS]}"

    def connector(self) -> Json:
        """The body that makes the connector."""
        # The cluster wants a credential also where none is sent.
        return {
            **self._connector(),
            "name": self.versioned_name,
            "credential": {"key": self.key or "none"},
        }

    def model_body(self, connector_id: str) -> Json:
        """The body that registers the remote model."""
        return {
            "name": self.versioned_name,
            "function_name": "remote",
            "description": f"rerank-sidecar at {self.sidecar}",
            "connector_id": connector_id,
        }

    def pipeline(self, model_id: str) -> Json:
        """The search pipeline."""
        return pipeline_body(model_id, (self.text_field,), self.fusion)

    def _connector(self) -> Json:
        budget_ms = 1000 * self.read_timeout_s - _WAY_BACK_MS
        headers = {_BUDGET: str(budget_ms)}
        if self.key:
            headers["Authorization"] = "Bearer ${credential.key}"
        model = '"model":"${parameters.model}",' if self.model else ""
        return {
            "description": f"rerank-sidecar at {self.sidecar}",
            "version": "1",
            "protocol": "http",
            "parameters": {"model": self.model} if self.model else {"route": _ROUTE},
            "client_config": {
                "max_connection": 64,
                "connection_timeout": 1,
                "read_timeout": self.read_timeout_s,
                "max_retry_times": 0,
            },
            "actions": [
                {
                    "action_type": "predict",
                    "method": "POST",
                    "url": self.url,
                    "headers": headers,
                    "request_body": "{" + model + '"query":"${parameters.query}",'
                    '"documents":${parameters.documents}}',
                    "pre_process_function": _PRE_PROCESS,
                    "post_process_function": "connector.post_process.cohere.rerank",
                }
            ],
        }


def pipeline_body(model_id: str, fields: Sequence[str], fusion: Fusion) -> Json:
    """A pipeline whose searches go on in first-stage order where the rerank fails."""
    rerank = {
        "ml_opensearch": {"model_id": model_id},
        "context": {"document_fields": list(fields)},
        "ignore_failure": True,
    }
    phases = _PHASES[fusion]
    return {
        "description": "Reranked by rerank-sidecar",
        **({"phase_results_processors": phases} if phases else {}),
        "response_processors": [{"rerank": rerank}],
    }
