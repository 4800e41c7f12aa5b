"""What the scorer asks of the turnstile."""

from __future__ import annotations

import time
from dataclasses import replace

import pytest

from rerank_core.artifact import open_artifact
from rerank_core.engine import CostModel, Engine, Priority, load_bi_encoder
from rerank_core.errors import OverloadError
from sidecar.admission.turnstile import Turnstile
from sidecar.models import Served
from sidecar.scorer import Scorer
from sidecar.security.caller import anonymous
from tests.tiny_models import make_bi_encoder

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
