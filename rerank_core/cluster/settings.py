"""Where the search cluster is; without its client, which takes a second to import."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import SplitResult, urlsplit

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
        parts = split_url(self.url)
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


def split_url(url: str) -> SplitResult:
    """The parts of a cluster's address. Raises `ConfigError` for what is none."""
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
