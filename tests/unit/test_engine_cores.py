"""How many workers a machine or a container is good for."""

from __future__ import annotations

import os

import pytest

from rerank_core.engine import usable_cores


@pytest.mark.parametrize(
    ("limit", "cores"),
    [
        ("max 100000", 8),
        ("800000 100000", 8),
        ("1600000 100000", 8),
        ("250000 100000", 2),
        ("100000 100000", 1),
        ("50000 100000", 1),
        ("90000 30000", 3),
        ("", 8),
        ("what is this", 8),
    ],
)
def test_whole_cores_of_the_containers_limit(tmp_path, monkeypatch, limit, cores):
    """Never more than the affinity mask, never fewer than one; what cannot be read limits not."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda _process: set(range(8)))
    (tmp_path / "cpu.max").write_text(limit + "\n")
    assert usable_cores(tmp_path) == cores


def test_the_affinity_mask_where_there_is_no_limit(tmp_path):
    assert usable_cores(tmp_path) == len(os.sched_getaffinity(0))
