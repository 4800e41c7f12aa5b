"""Token buckets, on a clock that stands still."""

from __future__ import annotations

import pytest

from rerank_core.errors import QuotaError
from sidecar.admission.quota import Quota, Quotas

QUOTA = Quota(tokens_per_s=100, burst_tokens=200)


class Clock:
    now = 0.0

    def __call__(self) -> float:
        """As the test sets it."""
        return self.now


def test_a_bucket_gives_its_burst_then_its_rate():
    """200 at once; the next 50 half a second later, and it says so."""
    clock = Clock()
    quotas = Quotas(clock)
    quotas.take("shop", QUOTA, 200)
    with pytest.raises(QuotaError, match="shop has used up") as caught:
        quotas.take("shop", QUOTA, 50)
    assert caught.value.retry_after_ms == 500
    clock.now = 0.5
    quotas.take("shop", QUOTA, 50)


def test_what_is_given_back_can_be_taken_again():
    """Up to the burst; a client without a bucket has nothing to get."""
    quotas = Quotas(Clock())
    quotas.take("shop", QUOTA, 200)
    quotas.give_back("shop", 150)
    quotas.take("shop", QUOTA, 150)
    quotas.give_back("shop", 1000)
    quotas.take("shop", QUOTA, 200)
    with pytest.raises(QuotaError):
        quotas.take("shop", QUOTA, 1)
    quotas.give_back("stranger", 10)


def test_a_request_larger_than_the_burst_leaves_a_debt():
    """500 pass a full bucket, and 3.02 seconds later there is one token again."""
    clock = Clock()
    quotas = Quotas(clock)
    quotas.take("shop", QUOTA, 500)
    clock.now = 2.9
    with pytest.raises(QuotaError):
        quotas.take("shop", QUOTA, 1)
    clock.now = 3.02
    quotas.take("shop", QUOTA, 1)


def test_clients_have_buckets_of_their_own_and_some_have_none():
    """One that is empty is nobody else's matter."""
    quotas = Quotas(Clock())
    quotas.take("a", QUOTA, 200)
    quotas.take("b", QUOTA, 200)
    for _ in range(10):
        quotas.take("free", None, 10**9)


def test_a_changed_quota_begins_anew():
    """As after a reload of the keys."""
    quotas = Quotas(Clock())
    quotas.take("shop", QUOTA, 200)
    quotas.take("shop", Quota(1, 10), 10)
