"""Callers of a sidecar who come when they come: open-loop Poisson arrivals over real channels.

As a program: ``python -m tests.serving_load TARGET RATE SECONDS BUDGET_MS DOCUMENTS WORDS``, with
one JSON object on stdout.
"""

from __future__ import annotations

import asyncio
import json
import random
import sys
import time
from collections import Counter
from dataclasses import dataclass, field

import grpc
import grpc.aio

from rerank_proto.rerank.v1 import rerank_pb2 as pb

METHOD = "/rerank.v1.RerankService/Rerank"
WORDS = tuple(
    "cordless drill driver kit brushless compact hammer oak dining chair set steel folding table "  # noqa: SIM905
    "outdoor patio led lamp dimmable white black blue 18V 20V 1/2 in. 3-piece heavy duty".split()
)


@dataclass
class Outcome:
    """What became of the calls of one run."""

    sent: int = 0
    full: int = 0
    """Reranked whole, within the deadline."""
    degraded: Counter[str] = field(default_factory=Counter)
    errors: Counter[str] = field(default_factory=Counter)
    late: int = 0
    """Answers that came after the deadline."""
    seconds: float = 0.0
    """From the first arrival to the last."""
    latencies_ms: list[float] = field(default_factory=list)
    """Of all answers."""
    full_ms: list[float] = field(default_factory=list)
    """Of those reranked whole."""

    @property
    def goodput(self) -> float:
        """Full answers a second."""
        return self.full / self.seconds

    def summary(self) -> dict:
        """Without the samples."""
        latencies, full = sorted(self.latencies_ms), sorted(self.full_ms)
        return {
            "sent": self.sent,
            "full": self.full,
            "late": self.late,
            "degraded": dict(self.degraded),
            "errors": dict(self.errors),
            "goodput": round(self.goodput, 2),
            "seconds": round(self.seconds, 2),
            **{f"p{n}_ms": _percentile(latencies, n) for n in (50, 99)},
            **{f"full_p{n}_ms": _percentile(full, n) for n in (50, 99)},
        }


def _percentile(ordered: list[float], percent: int) -> float | None:
    if len(ordered) < 100 / (100 - percent):
        return None  # the sample does not support it
    return round(ordered[min(len(ordered) - 1, len(ordered) * percent // 100)], 1)


def requests(count: int, documents: int, words: int, seed: int = 1) -> list[bytes]:
    """Different requests, as bytes: callers should cost little beside the server."""
    dice = random.Random(seed)
    return [
        pb.RerankRequest(
            query=" ".join(dice.choices(WORDS, k=3)),
            documents=[
                pb.Document(id=str(n), text=" ".join(dice.choices(WORDS, k=words)))
                for n in range(documents)
            ],
        ).SerializeToString()
        for _ in range(count)
    ]


async def load(
    target: str,
    rate: float,
    seconds: float,
    budget_ms: float,
    bodies: list[bytes],
    *,
    metadata: list[tuple[str, str]] | None = None,
    seed: int = 1,
) -> Outcome:
    """`rate` arrivals a second, each with a deadline of its own, whatever became of the others."""
    outcome = Outcome()
    dice = random.Random(seed)
    calls: set[asyncio.Task] = set()
    async with grpc.aio.insecure_channel(target) as channel:
        rerank = channel.unary_unary(METHOD)  # bytes in, bytes out
        await channel.channel_ready()

        async def one(body: bytes) -> None:
            began = time.perf_counter()
            try:
                content = await rerank(body, timeout=budget_ms / 1e3, metadata=metadata)
            except grpc.aio.AioRpcError as error:
                outcome.errors[error.code().name] += 1
                return
            took_ms = (time.perf_counter() - began) * 1e3
            answer = pb.RerankResponse.FromString(content)
            outcome.latencies_ms.append(took_ms)
            outcome.late += took_ms > budget_ms
            for reason in answer.degraded:
                outcome.degraded[pb.DegradedReason.Name(reason)[16:]] += 1
            if not answer.degraded and took_ms <= budget_ms:
                outcome.full += 1
                outcome.full_ms.append(took_ms)

        began = due = time.perf_counter()
        while due - began < seconds:
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            task = asyncio.create_task(one(bodies[outcome.sent % len(bodies)]))
            calls.add(task)
            task.add_done_callback(calls.discard)
            outcome.sent += 1
            due += dice.expovariate(rate)
        outcome.seconds = time.perf_counter() - began
        while calls:
            await asyncio.wait(calls)
    return outcome


async def saturate(
    target: str, seconds: float, callers: int, bodies: list[bytes], timeout_s: float = 60.0
) -> Outcome:
    """So many callers, each of whom asks again as soon as it is answered."""
    outcome = Outcome()
    async with grpc.aio.insecure_channel(target) as channel:
        rerank = channel.unary_unary(METHOD)
        await channel.channel_ready()
        began = time.perf_counter()

        async def caller(first: int) -> None:
            number = first
            while time.perf_counter() - began < seconds:
                sent = time.perf_counter()
                content = await rerank(bodies[number % len(bodies)], timeout=timeout_s)
                outcome.full_ms.append((time.perf_counter() - sent) * 1e3)
                outcome.full += not pb.RerankResponse.FromString(content).degraded
                number += callers

        await asyncio.gather(*(caller(first) for first in range(callers)))
        outcome.seconds = time.perf_counter() - began
    outcome.sent = len(outcome.full_ms)
    outcome.latencies_ms = outcome.full_ms
    return outcome


if __name__ == "__main__":
    _target, *_numbers = sys.argv[1:]
    _rate, _seconds, _budget, _documents, _words = map(float, _numbers)
    _bodies = requests(64, int(_documents), int(_words))
    _outcome = asyncio.run(load(_target, _rate, _seconds, _budget, _bodies))
    sys.stdout.write(json.dumps(_outcome.summary()) + "\n")
