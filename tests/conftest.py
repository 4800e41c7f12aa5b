"""Fixtures that more than one kind of test needs."""

from __future__ import annotations

import signal
import uuid
from collections.abc import Iterator

import pytest

from local_cluster import use_or_start
from rerank_core.cluster.connection import ClusterSettings, connect

# A shell that starts a job in its background has it ignore SIGINT, and a program inherits that.
# Tests that press Ctrl-C on a program need it back, whoever started them.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def cluster() -> Iterator[ClusterSettings]:
    """A real cluster: the one `OPENSEARCH_URL` names, else one started for the session.

    Where none can be had the tests that ask for it fail; they are never skipped.
    """
    with use_or_start() as settings:
        yield settings


@pytest.fixture
def index_name(cluster: ClusterSettings) -> Iterator[str]:
    """A name that no index has; an index of exactly this name is deleted after the test."""
    name = f"test-{uuid.uuid4().hex}"
    yield name
    with connect(cluster) as client:
        client.indices.delete(index=name, ignore_unavailable=True)
