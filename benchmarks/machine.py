"""What a benchmark ran on: processor, load, versions, commit. Nothing that names the host."""

from __future__ import annotations

import os
import platform
import subprocess
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from rerank_core.engine import usable_cores

_CPUINFO = Path("/proc/cpuinfo")
_TELLING_FLAGS = (
    "avx2",
    "fma",
    "f16c",
    "avx512f",
    "avx512bw",
    "avx_vnni",
    "avx512_vnni",
    "avx512_bf16",
    "amx_tile",
    "amx_int8",
    "amx_bf16",
)
_PACKAGES = ("rerank-sidecar", "numpy", "onnxruntime", "tokenizers", "torch", "transformers")

Load = tuple[float, float, float]
"""Load averages of 1, 5 and 15 minutes."""


@dataclass(frozen=True)
class Machine:
    """The processor and the software on it."""

    processor: str
    flags: tuple[str, ...]
    """Those of the instruction sets that kernels choose by."""
    cores: int
    """That this process may use."""
    system: str
    versions: dict[str, str]
    commit: str
    """Of this checkout, with + where files differ from it; unknown outside of one."""


def this_machine() -> Machine:
    """Where this process runs."""
    facts = _cpuinfo()
    flags = set(facts.get("flags", "").split())
    family = f"family {facts.get('cpu family', '?')} model {facts.get('model', '?')}"
    return Machine(
        processor=f"{facts.get('model name', platform.machine())}, {family}",
        flags=tuple(flag for flag in _TELLING_FLAGS if flag in flags),
        cores=usable_cores(),
        system=f"{platform.system()} {platform.machine()}, Python {platform.python_version()}",
        versions=_versions(),
        commit=_commit(),
    )


def load_average() -> Load:
    """How busy the machine is now."""
    return os.getloadavg()


def _cpuinfo() -> dict[str, str]:
    """The first processor's entries; empty where the system has no such file."""
    if not _CPUINFO.exists():
        return {}
    first = _CPUINFO.read_text(encoding="utf-8").split("\n\n", 1)[0]
    pairs = (line.split(":", 1) for line in first.splitlines() if ":" in line)
    return {name.strip(): value.strip() for name, value in pairs}


def _versions() -> dict[str, str]:
    found = {}
    for name in _PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue  # an optional one
    return found


def _commit() -> str:
    here = Path(__file__).parent
    commands = (["rev-parse", "--short=12", "HEAD"], ["status", "--porcelain", "-uno"])
    try:
        commit, changed = (
            subprocess.run(  # noqa: S603  fixed words
                ["git", *words],  # noqa: S607  whichever git there is
                cwd=here,
                capture_output=True,
                text=True,
                check=True,
            ).stdout.strip()
            for words in commands
        )
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return commit + ("+" if changed else "")
