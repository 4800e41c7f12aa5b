"""Where the search cluster is, and clients that talk to it."""

from __future__ import annotations

import base64
import math
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, urlsplit

from opensearchpy import AIOHttpConnection, AsyncOpenSearch, OpenSearch
from urllib3.util import parse_url

from rerank_core.errors import ConfigError


@dataclass(frozen=True, slots=True)
class ClusterSettings:
    """Address, credentials and patience for one cluster.

    Raises `ConfigError` naming the setting. The password is in no `repr` and in no message.
    """

    url: str
    """``http`` or ``https``, host, port (9200 and 443 where none is given), maybe a path."""
    user: str | None = None
    password: str | None = field(default=None, repr=False)
    ca_path: Path | None = None
    """A PEM file of certificates to trust instead of the public ones; ``https`` only."""
    timeout_s: float = 10.0
    """For one request, where the call itself brings no ``request_timeout``."""

    def __post_init__(self) -> None:
        parts = _split(self.url)
        if (self.user is None) != (self.password is None):
            raise ConfigError("cluster: user and password come together; one of them is missing")
        if self.user is not None and (not self.user or ":" in self.user):
            raise ConfigError("cluster user: must not be empty or hold a colon")
        if self.ca_path is not None and parts.scheme != "https":
            raise ConfigError("cluster ca_path: has no meaning for an http url; say https")
        if self.ca_path is not None and not self.ca_path.is_file():
            raise ConfigError(f"cluster ca_path: {self.ca_path}: no such file")
        if not 0 < self.timeout_s < math.inf:
            raise ConfigError(f"cluster timeout_s: {self.timeout_s} is not a time above zero")

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] = os.environ) -> ClusterSettings:
        """What ``OPENSEARCH_URL``, ``_USER``, ``_PASSWORD`` and ``_CA`` say; empty is unset.

        Raises `ConfigError`, also where the URL is not set: a cluster is never guessed.
        """
        url = environ.get("OPENSEARCH_URL")
        if not url:
            raise ConfigError("OPENSEARCH_URL is not set; give the cluster's address")
        ca_path = environ.get("OPENSEARCH_CA")
        return cls(
            url=url,
            user=environ.get("OPENSEARCH_USER") or None,
            password=environ.get("OPENSEARCH_PASSWORD") or None,
            ca_path=Path(ca_path) if ca_path else None,
        )


def connect(settings: ClusterSettings, *, pool_size: int = 10) -> OpenSearch:
    """A client for threads, to be closed by its owner; nothing is sent yet.

    It tries once: who calls knows its deadline and whether a second try is safe. `pool_size`
    connections are kept open, more are opened and closed again under load.
    """
    return OpenSearch(pool_maxsize=pool_size, **_arguments(settings))


def connect_async(settings: ClusterSettings, *, pool_size: int = 10) -> AsyncOpenSearch:
    """A client for one event loop, to be closed by its owner; nothing is sent yet.

    It tries once, like `connect`. At most `pool_size` requests are under way; further ones wait,
    and the wait counts against their timeout.
    """
    return AsyncOpenSearch(
        connection_class=_OneTry,
        pool_maxsize=pool_size,
        **_arguments(settings),
    )


class _OneTry(AIOHttpConnection):
    """Ends a request with its connection.

    aiohttp sends GET, PUT and DELETE a second time when the connection breaks off. The cluster may
    have done the first by then, and would answer the second with "already exists" or "not found".
    """

    async def _create_aiohttp_session(self) -> None:
        await super()._create_aiohttp_session()
        self.session._retry_connection = False  # noqa: SLF001 - aiohttp has no public switch


def _split(url: str) -> SplitResult:
    # First of all, so that no message repeats a password: one that holds '/', '?' or '#' ends the
    # host for whoever parses the url.
    if "@" in url:
        raise ConfigError(
            "cluster url: holds '@'; give user and password as settings, and http://host:port here"
        )
    try:
        parse_url(url)  # what connects by: refuses hosts that urlsplit lets pass
        parts = urlsplit(url)
        port_fits = parts.port is None or parts.port > 0
    except ValueError as error:
        raise ConfigError("cluster url: cannot be read; write http://host:port") from error
    if parts.scheme not in ("http", "https") or not parts.hostname or not port_fits:
        raise ConfigError(f"cluster url: {url!r} is no address; write http://host:port")
    if parts.query or parts.fragment:
        raise ConfigError(f"cluster url: {url!r} must end with its path")
    return parts


def _arguments(settings: ClusterSettings) -> dict[str, Any]:
    parts = _split(settings.url)
    secure = parts.scheme == "https"
    arguments: dict[str, Any] = {
        "hosts": [
            {
                "host": parts.hostname,
                "port": parts.port or (443 if secure else 9200),
                "url_prefix": parts.path.strip("/"),
            },
        ],
        "use_ssl": secure,
        "timeout": settings.timeout_s,
        # On loopback and inside a data centre, compressing costs more time than it saves.
        "http_compress": False,
        "max_retries": 0,
        "retry_on_timeout": False,
    }
    if settings.ca_path is not None:
        arguments["ca_certs"] = str(settings.ca_path)
    if settings.user is not None and settings.password is not None:
        # Written here, since the client's own helper cannot encode what is not Latin-1.
        secret = base64.b64encode(f"{settings.user}:{settings.password}".encode()).decode()
        arguments["headers"] = {"authorization": f"Basic {secret}"}
    return arguments
