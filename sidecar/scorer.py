"""Logits of one request: remembered ones, and fresh ones where there is room for the work."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import count

from rerank_core.engine import (
    BiEncoder,
    CrossEncoder,
    Ended,
    Engine,
    Priority,
    Product,
    Vectors,
)
from rerank_core.errors import OverloadError
from sidecar.admission.estimate import token_lengths
from sidecar.admission.quota import Quotas
from sidecar.admission.turnstile import Turnstile
from sidecar.models import Served
from sidecar.score_cache import ScoreCache, pair_key
from sidecar.security.caller import Caller
from sidecar.stages import Stages

# Composing and hashing so many texts takes about a millisecond; then others have their turn.
_LOOKUP_TEXTS = 128


@dataclass(frozen=True, slots=True)
class Job:
    """What to score, for whom, until when."""

    query: str
    products: tuple[Product, ...]
    """Best first."""
    deadline: float
    """Seconds of `time.monotonic`."""
    priority: Priority
    caller: Caller


@dataclass(frozen=True, slots=True)
class Scores:
    """What is known of a job's products."""

    logits: Mapping[int, float]
    """By position; not all of them where the deadline came first."""
    cached: int
    """How many were remembered."""
    tokens: int
    """What the engine was asked to read, about."""
    shed: OverloadError | None = None
    """Why the engine was not asked; what was remembered is there."""


class Scorer:
    """Scores by cache, turnstile and engine. One a server; for one event loop."""

    def __init__(
        self,
        engine: Engine,
        turnstile: Turnstile,
        cache: ScoreCache | None = None,
        quotas: Quotas | None = None,
    ) -> None:
        self.engine = engine
        self.turnstile = turnstile
        self.cache = ScoreCache(0) if cache is None else cache
        self._quotas = Quotas() if quotas is None else quotas

    async def score(self, served: Served[CrossEncoder], job: Job, stages: Stages) -> Scores:
        """Logits by the position of their product, as many as there are by the deadline.

        Raises `QuotaError`, `ScoringError` and `NotReadyError`.
        """
        products: Sequence[Product] = job.products
        keys: list[bytes] = []
        logits: dict[int, float] = {}
        if self.cache.serves(served.model):
            with stages.timed("cache"):
                products, keys = await _composed(served.model, job)
                logits = self.cache.get(keys)
        missing = [at for at in range(len(products)) if at not in logits]
        if not missing:
            return Scores(logits, len(logits), 0)
        cached = len(logits)
        wanted = [products[at] for at in missing]
        lengths = token_lengths(served.model, job.query, wanted)
        tokens = int(lengths.sum())
        self._quotas.take(job.caller.name, job.caller.quota, tokens)
        foretold_ms = served.work.work_ms(served.model.cost, lengths)
        found: dict[int, float] = {}
        shed: OverloadError | None = None
        try:
            await self._fresh(served, job, wanted, foretold_ms, stages, found)
        except OverloadError as error:
            shed = error
        finally:
            # What others' load, a deadline or a failure left unread is not the client's.
            read = int(lengths[list(found)].sum())
            self._quotas.give_back(job.caller.name, tokens - read)
        fresh = {missing[at]: logit for at, logit in found.items()}
        if keys:
            self.cache.put({keys[at]: logit for at, logit in fresh.items()})
        if len(fresh) < len(missing):
            ends = _first_gap(logits.keys() | fresh.keys())
            logits = {at: logit for at, logit in logits.items() if at < ends}
            fresh = {at: logit for at, logit in fresh.items() if at < ends}
            cached = len(logits)
        return Scores(logits | fresh, cached, 0 if shed else tokens, shed)

    async def encode(
        self,
        served: Served[BiEncoder],
        texts: Sequence[str],
        deadline: float,
        priority: Priority,
        caller: Caller,
    ) -> Vectors:
        """Vectors of all texts, in the turn of whoever asks.

        Raises `QuotaError`, `OverloadError`, `DeadlineError` and `ScoringError`.
        """
        model = served.model
        lengths = token_lengths(model, "", texts)
        tokens = int(lengths.sum())
        self._quotas.take(caller.name, caller.quota, tokens)
        foretold_ms = served.work.work_ms(model.cost, lengths)
        try:
            async with self.turnstile.turn(caller.name, priority, foretold_ms, deadline):
                return await self.engine.encode_async(
                    model, texts, deadline=deadline, priority=priority
                )
        except OverloadError:
            self._quotas.give_back(caller.name, tokens)
            raise

    async def _fresh(
        self,
        served: Served[CrossEncoder],
        job: Job,
        products: Sequence[Product],
        foretold_ms: float,
        stages: Stages,
        logits: dict[int, float],
    ) -> None:
        """Puts them into `logits` by position in `products`, as they come."""
        came = time.perf_counter()
        async with self.turnstile.turn(
            job.caller.name, job.priority, foretold_ms, job.deadline
        ) as ticket:
            held_ms = (time.perf_counter() - came) * 1e3
            stream = self.engine.submit(
                served.model, job.query, products, deadline=job.deadline, priority=job.priority
            )
            try:
                async for batch in stream.batches():
                    logits.update(batch)
                    ticket.left = 1 - len(logits) / len(products)
                    self.turnstile.progressed()
            finally:
                # Without effect on a stream that ended; what a cancelled call left behind is
                # dropped.
                stream.cancel()
                ticket.late = stream.ended is Ended.DEADLINE
                times = stream.times
                stages.add_sequence(
                    {
                        "queue": held_ms + times.queue_ms,
                        "tokenize": times.tokenize_ms,
                        "score": times.score_ms,
                    }
                )
        if stream.ended is Ended.DONE:
            served.work.observe(foretold_ms, times.worked_ms)


async def _composed(model: CrossEncoder, job: Job) -> tuple[list[str], list[bytes]]:
    """The products as the model reads them, and the key of each pair."""
    compose, key = model.artifact.manifest.recipe.compose, pair_key(model, job.query)
    texts: list[str] = []
    keys: list[bytes] = []
    for begin in range(0, len(job.products), _LOOKUP_TEXTS):
        if begin:
            await asyncio.sleep(0)
        part = [
            item if isinstance(item, str) else compose(item)
            for item in job.products[begin : begin + _LOOKUP_TEXTS]
        ]
        texts += part
        keys += map(key, part)
    return texts, keys


def _first_gap(scored: Collection[int]) -> int:
    """Where a partial answer ends.

    A score behind that, remembered or computed by a path that takes texts by their length, would
    lift its product over better ones that were not reached: worse than no rerank at all.
    """
    return next(at for at in count() if at not in scored)
