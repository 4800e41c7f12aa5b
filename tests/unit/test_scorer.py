"""What the scorer asks of the turnstile, and what it makes of part of the scores."""

from __future__ import annotations

import math
import time
from dataclasses import replace

import numpy as np
import pytest

from rerank_core.artifact import open_artifact
from rerank_core.engine import CostModel, Engine, Priority, load_bi_encoder, load_cross_encoder
from rerank_core.errors import OverloadError, QuotaError
from sidecar.admission.quota import Quota, Quotas
from sidecar.admission.turnstile import Turnstile
from sidecar.models import Served
from sidecar.score_cache import ScoreCache
from sidecar.scorer import Job, Scorer
from sidecar.security.caller import Caller, anonymous
from sidecar.stages import Stages
from tests.gated_path import gated
from tests.tiny_models import make_bi_encoder, make_cross_encoder

INTERACTIVE = Priority.INTERACTIVE


async def test_a_single_text_to_embed_waits_as_any_work_does(tmp_path):
    """60 ms are inside and it takes 10: done after 70 x 1.15, so it is refused where it has 50."""
    encoder = load_bi_encoder(open_artifact(make_bi_encoder(tmp_path / "bi")))
    served = Served("bi", replace(encoder, cost=CostModel((10.0, 0.0, 0.0))))
    turnstile, caller = Turnstile(1, clock=lambda: 100.0), anonymous("127.0.0.1")
    with Engine(workers=1) as engine:
        scorer = Scorer(engine, turnstile)
        async with (
            turnstile.turn("a", INTERACTIVE, 30, 200.0),
            turnstile.turn("b", INTERACTIVE, 30, 200.0),
        ):
            with pytest.raises(OverloadError):
                await scorer.encode(served, ["drill"], 100.05, INTERACTIVE, caller)
        ends = time.monotonic() + 60
        vectors = await scorer.encode(served, ["drill"], ends, INTERACTIVE, caller)
    assert vectors.shape == (1, encoder.dimensions)


async def test_a_score_below_one_that_is_missing_does_not_count(tmp_path):
    """A path that takes texts by length scores rows 0 and 2 in its first unit, then it is late.

    Row 2 above row 1, which nobody looked at, would be a worse order than none.
    """
    model = gated(load_cross_encoder(open_artifact(make_cross_encoder(tmp_path / "c"))), "by", [])

    class ByLength(type(model.path)):
        """Units of equally long rows, by their first."""

        def plan(self, _):
            """Two of two."""
            return [np.array([0, 2], np.intp), np.array([1, 3], np.intp)]

    path = ByLength(model.path.within, "by", [])
    served = Served("c", replace(model, path=path, cost=CostModel((1e7, 0.0, 0.0))))
    products = ("drill", "cordless drill", "saw", "long saw")
    job = Job("q", products, time.monotonic() + 600, INTERACTIVE, anonymous("127.0.0.1"))
    with Engine(workers=1) as engine:
        scores = await Scorer(engine, Turnstile(1)).score(served, job, Stages())
    assert scores.logits.keys() == {0}


async def test_what_is_remembered_is_answered_though_the_rest_is_shed(tmp_path):
    """Down to the first product that is not known; tokens that nobody read are given back."""
    model = load_cross_encoder(open_artifact(make_cross_encoder(tmp_path / "c")))
    served = Served("c", replace(model, cost=CostModel((10.0, 0.0, 0.0))))
    not_learnt = Served("c", served.model)
    turnstile, quotas = Turnstile(1, clock=lambda: 100.0), Quotas(clock=lambda: 0.0)
    caller = Caller("shop", quota=Quota(1e-9, 1000.0))
    known, unknown = ("drill", "cordless drill"), ("saw",)

    def job(products, deadline):
        return Job("q", products, deadline, INTERACTIVE, caller)

    with Engine(workers=1) as engine:
        scorer = Scorer(engine, turnstile, ScoreCache(10_000), quotas)
        # The turnstile's clock stands at 100; the engine's is the machine's, which is past that.
        first = await scorer.score(served, job((*known, "long saw"), math.inf), Stages())
        spent = first.tokens
        # 60 ms are inside, and it has 50.
        async with (
            turnstile.turn("a", INTERACTIVE, 30, 200.0),
            turnstile.turn("b", INTERACTIVE, 30, 200.0),
        ):
            wanted = job((*known, *unknown, "long saw"), 100.05)
            shed = await scorer.score(not_learnt, wanted, Stages())
    assert isinstance(shed.shed, OverloadError)
    assert shed.logits == {0: first.logits[0], 1: first.logits[1]}
    assert (shed.cached, shed.tokens) == (2, 0)
    quotas.take("shop", caller.quota, 1000 - spent)  # all that is left, to the token
    with pytest.raises(QuotaError):
        quotas.take("shop", caller.quota, 1)
