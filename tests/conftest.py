"""Fixtures that more than one kind of test needs."""

from __future__ import annotations

import os
import platform
import shutil
import signal
import uuid
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from local_cluster import LocalCluster, use_or_start
from local_cluster.distribution import ELASTICSEARCH
from rerank_core.cluster.connection import connect
from rerank_core.cluster.settings import ClusterSettings

# A shell that starts a job in its background has it ignore SIGINT, and a program inherits that.
# Tests that press Ctrl-C on a program need it back, whoever started them.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@cache
def _no_kernel_reason() -> str | None:
    """Why no native kernel was built here, as CMakeLists.txt decides it; None where one belongs.

    A kernel that is missing beside a compiler is a fault, and its tests say so.
    """
    import rerank_core.engine  # noqa: PLC0415  collecting a client's test needs no engine

    if any(
        (Path(folder) / "librerank_native.so").exists() for folder in rerank_core.engine.__path__
    ):
        return None
    if platform.machine() not in ("x86_64", "AMD64"):
        return f"it is for x86-64, this is {platform.machine()}"
    compilers = (os.environ.get("CXX"), "c++", "g++", "clang++")
    if any(shutil.which(name) for name in compilers if name):
        return None
    return "no C++ compiler here"


def pytest_ignore_collect(collection_path: Path) -> bool | None:
    """Tests of the native kernel are left out where it was not to be built, and only there."""
    if collection_path.name.startswith("test_native_") and _no_kernel_reason():
        return True
    return None


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """So are single tests elsewhere that are marked `kernel`."""
    if any(item.get_closest_marker("kernel") for item in items) and _no_kernel_reason():
        left_out = [item for item in items if item.get_closest_marker("kernel")]
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in left_out]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Says so, once."""
    if reason := _no_kernel_reason():
        terminalreporter.write_line(
            f"test_native_* and tests marked kernel left out, the kernel was not built: {reason}"
        )


@pytest.fixture(scope="session")
def cluster() -> Iterator[ClusterSettings]:
    """A real cluster: the one `OPENSEARCH_URL` names, else one started for the session.

    Where none can be had the tests that ask for it fail; they are never skipped.
    """
    with use_or_start() as settings:
        yield settings


@pytest.fixture(scope="session")
def elasticsearch() -> Iterator[ClusterSettings]:
    """A real Elasticsearch: the one `ELASTICSEARCH_URL` names, else one started for the session."""
    if url := os.environ.get("ELASTICSEARCH_URL"):
        yield ClusterSettings(url, timeout_s=60)
        return
    with LocalCluster.start(distribution=ELASTICSEARCH) as started:
        yield ClusterSettings(started.url, timeout_s=60)


@pytest.fixture
def index_name(cluster: ClusterSettings) -> Iterator[str]:
    """A name that no index has; an index of exactly this name is deleted after the test."""
    name = f"test-{uuid.uuid4().hex}"
    yield name
    with connect(cluster) as client:
        client.indices.delete(index=name, ignore_unavailable=True)
