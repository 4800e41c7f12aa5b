"""bfloat16 matrix products, where the processor computes them."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Literal

Precision = Literal["auto", "bfloat16", "float32"]
"""``auto`` is bfloat16 on a processor that has it, else float32."""

_CPUINFO = Path("/proc/cpuinfo")
_FLAGS = {"avx512_bf16", "amx_bf16", "bf16"}
"""Of x86 and of ARM. Without one PyTorch emulates bfloat16 on a CPU: 15 times slower on AVX2."""


def in_bfloat16(precision: Precision = "auto") -> bool:
    """Whether matrix products are to be computed in bfloat16 on this machine."""
    return _has_bfloat16() if precision == "auto" else precision == "bfloat16"


@cache
def _has_bfloat16() -> bool:
    return _CPUINFO.is_file() and has_bfloat16(_CPUINFO.read_text(encoding="utf-8"))


def has_bfloat16(cpuinfo: str) -> bool:
    """Whether the first processor that Linux tells of names such an instruction set."""
    for line in cpuinfo.splitlines():
        name, _, value = line.partition(":")
        if name.strip() in ("flags", "Features"):
            return bool(_FLAGS & set(value.split()))
    return False
