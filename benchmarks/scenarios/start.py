"""Cold start: from exec to serving, and the first answers."""

from __future__ import annotations

import time
from collections.abc import Iterator

from benchmarks.points import Point, series_point
from benchmarks.scenarios.ground import NO_CACHE, Ground, documents
from benchmarks.workload.draw import Wish
from rerank_client import RerankClient

ABOUT = (
    "A fresh process: seconds from exec to standard health saying SERVING (files are in the page "
    "cache), then the service time of its first answer and of the tenth. Titles."
)

_TIMEOUT_S = 60.0
_ASKED = 10


def points(ground: Ground) -> Iterator[Point]:
    """One point of several starts."""
    traffic = ground.traffic(Wish(turns=_ASKED, questions=_ASKED, candidates=(ground.candidates,)))
    starts: list[float] = []
    answers: list[list[float]] = []
    for number in range(int(ground.pick(5, 2))):
        ground.tell(f"start {number + 1}")
        with (
            ground.sidecar(*NO_CACHE) as sidecar,
            RerankClient(sidecar.target, timeout_s=_TIMEOUT_S) as client,
        ):
            client.model_info()  # the connection is made here
            taken = []
            for question in range(_ASKED):
                query, asked = documents(traffic, question % len(traffic.questions))
                began = time.perf_counter()
                client.rerank(query, asked, strict=True)
                taken.append((time.perf_counter() - began) * 1e3)
        starts.append(sidecar.serving_after_s * 1e3)
        answers.append(taken)
    yield series_point(
        {"start": "warm files"},
        {
            "serving_ms": starts,
            "first_ms": [taken[0] for taken in answers],
            "tenth_ms": [taken[-1] for taken in answers],
        },
    )
