"""What the cores reach at most, as the measure that a path's share is taken of."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from threadpoolctl import threadpool_limits

_SIZE = 1024
_PRODUCTS = 4

NAME = "fp32 GEMM"
DETAIL = f"a product of {_SIZE} x {_SIZE} float32 matrices by numpy's BLAS on each core at once"


class GemmPeak:
    """Large products of float32 matrices: near the fp32 peak, and no int8 one.

    One product a thread, as the engine's workers compute, rather than one on all of them: threads
    that wait for one another measure the load of the machine.
    """

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
