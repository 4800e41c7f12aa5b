"""Memory of the engine alone, over thousands of requests."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from rerank_core.artifact import open_artifact
from rerank_core.engine import Ended, Engine, load_cross_encoder
from tests.tiny_models import make_cross_encoder

_MOST_GROWTH_MB = 6
_WORDS = ("garden", "hose", "oak", "shelf", "steel", "bolt", "M8", "15", "m", "led", "🔩")


def _resident_mb() -> float:
    status = Path("/proc/self/status").read_text(encoding="ascii")
    (line,) = (line for line in status.splitlines() if line.startswith("VmRSS:"))
    return int(line.split()[1]) / 1024


@pytest.mark.parametrize(
    "choice", [pytest.param("native", marks=pytest.mark.kernel), "onnxruntime"]
)
def test_memory_is_flat(tmp_path: Path, choice: str) -> None:
    """800 requests of all lengths and counts, some given up half way, on top of 400 alike."""
    model = load_cross_encoder(open_artifact(make_cross_encoder(tmp_path / "model")), choice)
    chance = random.Random(5)

    def request(engine: Engine) -> None:
        products = [
            " ".join(chance.choices(_WORDS, k=int(chance.paretovariate(0.7)) % 400))
            for _ in range(chance.randint(1, 40))
        ]
        stream = engine.submit(model, " ".join(chance.choices(_WORDS, k=3)), products)
        for scored, _ in enumerate(stream):
            if chance.random() < 0.01 and scored:
                return  # leaving the loop cancels the rest
        assert stream.ended is Ended.DONE

    with Engine(2) as engine:
        for _ in range(400):
            request(engine)
        before_mb = _resident_mb()
        for _ in range(800):
            request(engine)
        after_mb = _resident_mb()
    assert after_mb - before_mb < _MOST_GROWTH_MB
