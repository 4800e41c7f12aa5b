"""Runs one peer in its own environment: a line of JSON in, a line of JSON out.

The first line is the job ``{"folder", "exported", "scratch", "setting", "cores", "requests"}``;
the answer ``{"ready": {package: version}}`` or ``{"error": why}``. Then each line ``[workload,
number]`` is answered by ``{"ms": ..., "logits": [...]}``. Ends with its input.
"""

from __future__ import annotations

import importlib.util
import json
import os
import sys
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any


def main() -> None:
    """Serves until stdin ends."""
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # what a library prints is no answer

    def answer(message: dict[str, Any]) -> None:
        answers.write(json.dumps(message) + "\n")
        answers.flush()

    try:
        peer = _module(Path(sys.argv[1]))
        job = json.loads(sys.stdin.readline())
        score = peer.load(job)
        answer({"ready": dict(_installed(name) for name in peer.REQUIREMENTS)})
        for line in sys.stdin:
            workload, number = json.loads(line)
            query, texts = job["requests"][workload][number]
            began = time.perf_counter()
            logits = score(query, texts)
            took_ms = (time.perf_counter() - began) * 1e3
            answer({"ms": took_ms, "logits": [float(logit) for logit in logits]})
    except Exception as error:  # noqa: BLE001  whatever a peer raises is its reason
        answer({"error": f"{type(error).__name__}: {error}"})


def _module(path: Path) -> Any:
    spec = importlib.util.spec_from_file_location("peer", path)
    if spec is None or spec.loader is None:
        raise ImportError(str(path))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _installed(requirement: str) -> tuple[str, str]:
    """The package of a requirement, without extras, and its version."""
    name = requirement.partition("==")[0].partition("[")[0]
    return name, version(name)


if __name__ == "__main__":
    main()
