"""How many cores this process may use."""

from __future__ import annotations

import os
from pathlib import Path

_CGROUP = Path("/sys/fs/cgroup")


def usable_cores(cgroup: Path = _CGROUP) -> int:
    """Cores within the affinity mask and the container's CPU limit (cgroup v2), at least 1."""
    cores = len(os.sched_getaffinity(0))
    try:
        quota, period = (cgroup / "cpu.max").read_text(encoding="ascii").split()
    except (OSError, ValueError):
        return cores  # no cgroup v2 limit here
    if quota == "max":
        return cores
    return max(1, min(cores, int(quota) // int(period)))
