"""How much is sent at once, and how patiently."""

from __future__ import annotations

from dataclasses import dataclass, fields

from rerank_core.errors import ConfigError


@dataclass(frozen=True)
class SendLimits:
    """Bounds of the sender. Raises `ConfigError` naming the one that cannot be."""

    most_items: int = 500
    """Of one request. With vectors of 384 numbers these are some 2.5 MB."""
    most_bytes: int = 8 << 20
    """Of one request; a single item over it goes alone. Clusters refuse above 100 MB."""
    most_in_flight: int = 8
    """Requests under way together."""
    held_bytes: int = 64 << 20
    """Waiting or under way; who brings more waits."""
    timeout_s: float = 120.0
    """For one request."""
    slow_s: float = 10.0
    """An answer after this long says that the cluster has enough to do."""
    patience_s: float = 300.0
    """How long an item is asked for again before the run gives up."""
    first_wait_s: float = 0.25
    """Longest wait before the second try; it doubles with every further one."""
    longest_wait_s: float = 15.0

    def __post_init__(self) -> None:
        for bound in fields(self):
            if (value := getattr(self, bound.name)) <= 0:
                raise ConfigError(f"{bound.name}: must be above 0, it is {value}")
