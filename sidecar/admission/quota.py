"""Quotas: so many tokens a second for each key, with a burst."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass

from rerank_core.errors import QuotaError


@dataclass(frozen=True, slots=True)
class Quota:
    """Model tokens that a key may have scored."""

    tokens_per_s: float
    burst_tokens: float
    """The most that an idle time saves up."""


@dataclass(slots=True)
class _Bucket:
    quota: Quota
    tokens: float
    at: float


class Quotas:
    """A bucket a client, filled steadily. For one event loop."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._buckets: dict[str, _Bucket] = {}

    def take(self, client: str, quota: Quota | None, tokens: int) -> None:
        """Takes so many tokens out of the client's bucket; None is no quota.

        A request of more than the whole burst passes when the bucket is full and leaves a debt, or
        else it never would. Raises `QuotaError` that says when to come back, and takes nothing.
        """
        if quota is None:
            self._buckets.pop(client, None)
            return
        now = self._clock()
        bucket = self._buckets.get(client)
        if bucket is None or bucket.quota != quota:
            bucket = self._buckets[client] = _Bucket(quota, quota.burst_tokens, now)
        filled = bucket.tokens + (now - bucket.at) * quota.tokens_per_s
        bucket.tokens, bucket.at = min(filled, quota.burst_tokens), now
        needed = min(tokens, quota.burst_tokens)
        if bucket.tokens < needed:
            wait_ms = math.ceil((needed - bucket.tokens) / quota.tokens_per_s * 1e3)
            raise QuotaError(
                f"{client} has used up its quota of {quota.tokens_per_s:g} tokens a second; "
                f"come back in {wait_ms} ms",
                wait_ms,
            )
        bucket.tokens -= tokens

    def give_back(self, client: str, tokens: int) -> None:
        """Of a request that was taken for and sent away: others' load is not the client's."""
        bucket = self._buckets.get(client)
        if bucket is not None:
            bucket.tokens = min(bucket.tokens + tokens, bucket.quota.burst_tokens)
