"""A catalogue as an index, made by the index builder's own command and deleted afterwards."""

from __future__ import annotations

import os
import subprocess
import sys
import uuid
from collections.abc import Iterator
from contextlib import contextmanager

from benchmarks.child import last_words
from benchmarks.scenarios.ground import Ground
from rerank_core.cluster.connection import connect
from rerank_core.cluster.settings import ClusterSettings
from rerank_core.errors import SetupError

SETS = ("esci150", "icecat")
"""The first of these that is there."""


@contextmanager
def indexed(ground: Ground, settings: ClusterSettings) -> Iterator[str]:
    """The alias. Raises `SetupError` where the builder fails, `ClusterError`."""
    alias = f"benchmark-{uuid.uuid4().hex[:12]}"
    try:
        ground.tell(f"indexing {ground.folder(*SETS).path.name}")
        _build(ground, alias, settings)
        yield alias
    finally:
        with connect(settings) as client:
            for index in client.indices.get(index=f"{alias}-*", ignore_unavailable=True):
                client.indices.delete(index=index)


def some_queries(ground: Ground) -> list[str]:
    """Distinct ones of the catalogue's own."""
    found = ground.folder(*SETS).queries().values()
    queries = list(dict.fromkeys(text for text in found if text.strip()))
    return queries[: int(ground.pick(60, 15))]


def login(settings: ClusterSettings) -> dict[str, str]:
    """What is given of user, password and CA file."""
    given = {
        "user": settings.user,
        "password": settings.password,
        "ca_path": str(settings.ca_path.resolve()) if settings.ca_path else None,
    }
    return {name: value for name, value in given.items() if value is not None}


def _build(ground: Ground, alias: str, settings: ClusterSettings) -> None:
    catalogue = ground.folder(*SETS).path.resolve()
    command = ["index_builder", "rebuild", str(catalogue), "--alias", alias]
    flags = ["--encoder", "minilm", "--reranker", str(ground.artifact.folder.resolve())]
    done = subprocess.run(  # noqa: S603  words of ours
        [sys.executable, "-m", *command, *flags],
        env={**os.environ, **_environment(settings)},
        cwd=ground.scratch,  # takes its checkpoint and its rejects
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise SetupError(
            f"the index builder ended with exit code {done.returncode}: {last_words(done)}"
        )


def _environment(settings: ClusterSettings) -> dict[str, str]:
    names = {"user": "USER", "password": "PASSWORD", "ca_path": "CA"}
    given = {f"OPENSEARCH_{names[name]}": value for name, value in login(settings).items()}
    return {"OPENSEARCH_URL": settings.url, **given}
