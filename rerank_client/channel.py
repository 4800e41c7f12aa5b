"""How a client connects: service config, credentials, keepalive."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc

SERVICE_CONFIG: dict[str, Any] = {
    # Over all addresses that a name resolves to, those that serve: a headless service balances so.
    "loadBalancingConfig": [{"round_robin": {}}],
    "healthCheckConfig": {"serviceName": "rerank.v1.RerankService"},
    "methodConfig": [
        {
            "name": [
                {"service": f"rerank.v1.{name}Service"}
                for name in ("Rerank", "Embed", "Search", "Model")
            ],
            # Each RPC only reads, so it may be asked again. Within the call's own deadline.
            "retryPolicy": {
                "maxAttempts": 4,
                "initialBackoff": "0.02s",
                "maxBackoff": "0.2s",
                "backoffMultiplier": 2,
                "retryableStatusCodes": ["UNAVAILABLE"],
            },
        }
    ],
    # A server that fails half of the calls is not asked again at all.
    "retryThrottling": {"maxTokens": 10, "tokenRatio": 0.1},
}
"""What gRPC clients of any language should apply (gRFC A6); JSON as it stands."""


@dataclass(frozen=True, slots=True)
class Tls:
    """A secure connection: the authority to trust, and for mTLS who we are; files in PEM."""

    ca: Path | None = None
    """None: the system's authorities."""
    certificate: Path | None = None
    key: Path | None = None

    def credentials(self) -> grpc.ChannelCredentials:
        """For a channel. Raises `OSError` where a file cannot be read."""
        ca, key, certificate = (
            None if path is None else path.read_bytes()
            for path in (self.ca, self.key, self.certificate)
        )
        return grpc.ssl_channel_credentials(ca, key, certificate)


def options() -> list[tuple[str, Any]]:
    """Of every channel."""
    return [
        ("grpc.service_config", json.dumps(SERVICE_CONFIG)),
        ("grpc.enable_retries", 1),
        # What is larger would not be asked again. The request is held until its answer anyway, and
        # the server's limit bounds it.
        ("grpc.per_rpc_retry_buffer_size", 2**31 - 1),
        # The answer is as large as what was asked for; gRPC's limit of 4 MiB knows nothing of that.
        ("grpc.max_receive_message_length", -1),
        # A server that vanished is noticed; servers refuse to be asked more often than every 10 s.
        ("grpc.keepalive_time_ms", 30_000),
        ("grpc.keepalive_timeout_ms", 10_000),
        # Whoever comes back after a restart is met within half a second.
        ("grpc.initial_reconnect_backoff_ms", 100),
        ("grpc.max_reconnect_backoff_ms", 2_000),
    ]


def metadata(api_key: str | None) -> list[tuple[str, str]]:
    """Of every call. Raises `ValueError` for a key that no header can carry."""
    if api_key is not None and not (api_key.isascii() and api_key.isprintable()):
        raise ValueError(
            "api_key: has a line break or another character that no header can carry; strip what a "
            "file's last line ends with"
        )
    return [] if api_key is None else [("authorization", f"Bearer {api_key}")]
