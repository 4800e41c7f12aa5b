"""What the scorer asks of the turnstile, and what it makes of part of the scores."""

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np
import pytest

from rerank_core.artifact import open_artifact
from rerank_core.engine import CostModel, Engine, Priority, load_bi_encoder, load_cross_encoder
from rerank_core.errors import OverloadError
from sidecar.admission.turnstile import Turnstile
from sidecar.models import Served
from sidecar.scorer import Job, Scorer
from sidecar.security.caller import anonymous
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
