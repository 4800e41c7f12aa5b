"""What the cores reach at most, as the measure that a path's share is taken of."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol

import numpy as np
from threadpoolctl import threadpool_limits

from rerank_core.engine.native_library import load_library, peak_operations

_SIZE = 1024
_PRODUCTS = 4

_TRIAL_STEPS = 10_000
_PEAK_S = 0.05


class PeakMeasure(Protocol):
    """Something that keeps all cores busy with products."""

    name: str
    detail: str

    def measure(self) -> float:
        """10^9 operations (multiplications and additions) a second."""


class GemmPeak:
    """Large products of float32 matrices: near the fp32 peak, and no int8 one.

    One product a thread, as the engine's workers compute, rather than one on all of them: threads
    that wait for one another measure the load of the machine.
    """

    name = "fp32 GEMM"
    detail = f"a product of {_SIZE} x {_SIZE} float32 matrices by numpy's BLAS on each core at once"

    def __init__(self, threads: int) -> None:
        self._threads = threads
        random = np.random.default_rng(3)
        self._left, self._right = random.standard_normal((2, _SIZE, _SIZE), np.float32)

    def measure(self) -> float:
        """10^9 operations (multiplications and additions) a second."""
        with threadpool_limits(1, "blas"), ThreadPoolExecutor(self._threads) as pool:
            began = time.perf_counter()
            list(pool.map(self._multiply, range(self._threads)))
            took_s = time.perf_counter() - began
        return 2.0 * _SIZE**3 * _PRODUCTS * self._threads / took_s / 1e9

    def _multiply(self, _: int) -> None:
        out = np.empty_like(self._left)
        for _ in range(_PRODUCTS):
            np.matmul(self._left, self._right, out=out)


class IntegerPeak:
    """An instruction set's integer products in registers, nothing loaded or stored."""

    def __init__(self, instruction_set: str, threads: int) -> None:
        kind = "products" if instruction_set.endswith("-int16") else "int8"
        self.name = f"{instruction_set} {kind}"
        self.detail = "integer products in registers alone on each core at once"
        self._set, self._threads = instruction_set, threads
        self._library = load_library()
        began = time.perf_counter()
        self._compute(_TRIAL_STEPS)
        once_s = (time.perf_counter() - began) / _TRIAL_STEPS
        self._steps = max(int(_PEAK_S / once_s), _TRIAL_STEPS)

    def measure(self) -> float:
        """10^9 operations (multiplications and additions) a second."""
        with ThreadPoolExecutor(self._threads) as pool:
            began = time.perf_counter()
            operations = sum(pool.map(self._compute, [self._steps] * self._threads))
            took_s = time.perf_counter() - began
        return operations / took_s / 1e9

    def _compute(self, steps: int) -> float:
        return peak_operations(self._library, self._set, steps)
