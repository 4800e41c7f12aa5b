"""How many cores this process may use."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

_ROOT = Path("/")


def usable_cores(root: Path = _ROOT) -> int:
    """Whole cores within the affinity mask and every CPU limit around this process, at least 1.

    A limit is a control group's (v2 or v1), of the process or of any group around it. Of 1.9 cores
    one is used: with a worker too many the limit is spent before its period ends, and Linux then
    stops all threads until the next, for tens of milliseconds, those that answer calls among them.
    The fraction is theirs.
    """
    limits = [len(os.sched_getaffinity(0)), *_limits(root)]
    return max(1, int(min(limits)))


def _limits(root: Path) -> Iterator[float]:
    """In cores, of each control group that has one; what cannot be read limits not."""
    mounts = root / "sys/fs/cgroup"
    for controllers, group in _memberships(root / "proc/self/cgroup"):
        # A container may see its own group as the mount's top under a path of the host's, which is
        # then not there: what is there of the path counts.
        for folder in (group, *group.parents):
            inside = folder.relative_to("/")
            if controllers == "":
                # Where v1 is mounted, too, v2 has a place beside it.
                for mount in (mounts, mounts / "unified"):
                    yield from _limit(_numbers(mount / inside / "cpu.max"))
            elif "cpu" in controllers.split(","):
                for mount in (mounts / controllers, mounts / "cpu"):
                    names = ("cpu.cfs_quota_us", "cpu.cfs_period_us")
                    yield from _limit(
                        [n for name in names for n in _numbers(mount / inside / name)]
                    )


def _memberships(path: Path) -> Iterator[tuple[str, PurePosixPath]]:
    """Controllers, none for v2, and the group of this process; v2's top where nothing is told."""
    yield "", PurePosixPath("/")
    for line in _read(path).splitlines():
        _, controllers, group = [*line.split(":", 2), "", ""][:3]
        if group.startswith("/"):
            yield controllers, PurePosixPath(group)


def _limit(numbers: list[str]) -> Iterator[float]:
    """A quota (``max`` and -1: none) and its period in microseconds, as cores."""
    match numbers:
        case [quota, period] if quota.isdecimal() and period.isdecimal() and int(period):
            yield int(quota) / int(period)


def _numbers(path: Path) -> list[str]:
    return _read(path).split()


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
