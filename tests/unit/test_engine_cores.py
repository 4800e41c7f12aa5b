"""How many workers a machine or a container is good for, on made-up control groups."""

from __future__ import annotations

import os

import pytest

from rerank_core.engine import usable_cores

POD = "/kubepods.slice/pod-1.slice/cri-7.scope"


@pytest.fixture
def tree(tmp_path, monkeypatch):
    """Writes files under a root of eight cores."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda _process: set(range(8)))

    def write(memberships, **limits):
        """Limits by file, which stand under /sys/fs/cgroup."""
        files = {"proc/self/cgroup": memberships} | {
            f"sys/fs/cgroup/{name}": text for name, text in limits.items()
        }
        for name, text in files.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text + "\n")
        return tmp_path

    return write


@pytest.mark.parametrize(
    ("limit", "cores"),
    [
        ("max 100000", 8),
        ("800000 100000", 8),
        ("1600000 100000", 8),
        ("250000 100000", 2),
        ("190000 100000", 1),
        ("100000 100000", 1),
        ("50000 100000", 1),
        ("90000 30000", 3),
        ("100000 0", 8),
        ("", 8),
        ("what is this", 8),
    ],
)
def test_whole_cores_of_the_containers_limit(tree, limit, cores):
    """Never more than the affinity mask, never fewer than one; what cannot be read limits not."""
    assert usable_cores(tree("0::/", **{"cpu.max": limit})) == cores


@pytest.mark.parametrize("stricter", ["", "/kubepods.slice", "/kubepods.slice/pod-1.slice", POD])
def test_the_least_limit_of_all_groups_around_the_process(tree, stricter):
    """A pod's limit holds for its containers, whichever has the tighter one."""
    groups = ["", "/kubepods.slice", "/kubepods.slice/pod-1.slice", POD]
    limits = {
        f"{group}/cpu.max".lstrip("/"): f"{300000 if group == stricter else 500000} 100000"
        for group in groups
    }
    limits["other.slice/cpu.max"] = "100000 100000"
    assert usable_cores(tree(f"0::{POD}", **limits)) == 3


def test_a_path_of_the_hosts_that_is_not_there(tree):
    """A container without a namespace of its own for groups sees its group as the top."""
    assert usable_cores(tree("0::/docker/77", **{"cpu.max": "200000 100000"})) == 2


@pytest.mark.parametrize("mount", ["cpu,cpuacct", "cpu"])
def test_the_first_version_of_control_groups(tree, mount):
    """Quota and period in files of their own, -1 for none, by group as well."""
    memberships = f"9:name=systemd:/x\n4:{mount}:/docker/77\n3:cpuset:/\n0::/"
    limits = {
        f"{mount}/cpu.cfs_quota_us": "-1",
        f"{mount}/cpu.cfs_period_us": "100000",
        f"{mount}/docker/77/cpu.cfs_quota_us": "150000",
        f"{mount}/docker/77/cpu.cfs_period_us": "50000",
        "cpuset/cpu.cfs_quota_us": "50000",
        "cpuset/cpu.cfs_period_us": "50000",
    }
    assert usable_cores(tree(memberships, **limits)) == 3


def test_both_versions_at_once(tree):
    """v2 beside v1: the tighter limit, wherever it is."""
    limits = {
        "unified/a/cpu.max": "200000 100000",
        "cpu/a/cpu.cfs_quota_us": "400000",
        "cpu/a/cpu.cfs_period_us": "100000",
    }
    assert usable_cores(tree("1:cpu:/a\n0::/a", **limits)) == 2


def test_the_affinity_mask_where_there_is_no_limit(tmp_path):
    """And where nothing is told of groups at all."""
    assert usable_cores(tmp_path) == len(os.sched_getaffinity(0))
