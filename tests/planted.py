"""A sidecar with a slowdown in it: ``python -m tests.planted FAULT [flags of the sidecar]``.

*sleep*: each unit waits for a while. *lock*: the workers compute one after the other. *packing*:
each pair is a unit of its own. *nothing*: as it is.
"""

from __future__ import annotations

import runpy
import sys
import threading
import time

import numpy as np

from rerank_core.engine import native, onnx_path

_PATHS = (native.NativePath, onnx_path.OnnxPath)
_SLEEP_S = 0.025


def plant(fault: str) -> None:
    """Changes the numeric paths of this process."""
    lock = threading.Lock()
    for path in _PATHS:
        forward = path.forward

        def slowed(self, rows, forward=forward):
            if fault == "sleep":
                time.sleep(_SLEEP_S)
            if fault != "lock":
                return forward(self, rows)
            with lock:
                return forward(self, rows)

        path.forward = slowed
        if fault == "packing":
            path.plan = staticmethod(lambda rows: [np.array([row]) for row in range(len(rows))])


if __name__ == "__main__":
    plant(sys.argv.pop(1))
    runpy.run_module("sidecar", run_name="__main__", alter_sys=True)
