"""Where and with what something was computed."""

from __future__ import annotations

import platform
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from distillation.precision import in_bfloat16

_LIBRARIES = (
    "rerank-sidecar",
    "torch",
    "transformers",
    "sentence-transformers",
    "tokenizers",
    "numpy",
)


def environment() -> dict[str, Any]:
    """Versions of this project and its libraries, and the processor, for the record."""
    return {
        "versions": {"python": platform.python_version()}
        | {name: version(name) for name in _LIBRARIES},
        "processor": _processor(),
        "threads": torch.get_num_threads(),
        "bfloat16": in_bfloat16(),
    }


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    if info.is_file():
        for line in info.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()
