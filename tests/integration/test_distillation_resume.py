"""A training under kill -9: a real process, really killed, goes on as if nothing had been."""

import io
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from rich.console import Console

from distillation.fitting import BEST, CHECKPOINT, fit
from distillation.lists import TokenList
from distillation.pipeline.fit import Fit
from distillation.student import Student
from rerank_core.artifact import named_folder
from rerank_core.errors import ConfigError
from rerank_core.text import PackedTokens

pytestmark = pytest.mark.timeout(600)  # three processes that load torch
ROOT = Path(__file__).parents[2]
SETTINGS = Fit(
    steps=24, loss="margin-mse", learning_rate=1e-3, head_learning_rate=1e-2, pairs_a_step=8,
    list_products=4, evaluations=6, average=0.5, dropout=0.1, precision="float32",
)  # fmt: skip
TRAINING = """
import sys
sys.path.insert(0, sys.argv[2])
from pathlib import Path
from tests.integration.test_distillation_resume import train
train(Path(sys.argv[1]))
"""


def train(folder, identity="one"):
    """One layer on twelve lists of made-up tokens; the measure is the weights' own."""
    torch.set_num_threads(1)
    torch.manual_seed(5)
    random = np.random.default_rng(5)
    lists = [
        TokenList(
            PackedTokens.pack([random.integers(1000, 9000, 6).tolist() for _ in range(5)]),
            random.normal(size=5).astype(np.float32),
        )
        for _ in range(12)
    ]
    network = Student(named_folder("minilm"), layers=1, dropout=0.1)
    return fit(
        network, SETTINGS, lists, folder, seed=5, identity=identity,
        measure=lambda net: {"nDCG@10": float(net.network.classifier.weight.detach().abs().sum())},
        show=Console(file=io.StringIO()),
    )  # fmt: skip


def _killed_after_its_first_checkpoint(folder):
    process = subprocess.Popen([sys.executable, "-c", TRAINING, str(folder), str(ROOT)], cwd=ROOT)
    deadline = time.monotonic() + 200
    while not (folder / CHECKPOINT).exists() and time.monotonic() < deadline:
        assert process.poll() is None
        time.sleep(0.001)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL, "it was done before it could be killed"


def test_a_killed_training_ends_with_the_weights_of_an_undisturbed_one(tmp_path):
    """Weights, their average, dropout's dice, the curve and what is kept: bit by bit the same.

    A checkpoint is a whole file at any moment; that of a training which is done is at its end.
    """
    for name in ("quiet", "killed"):
        (tmp_path / name).mkdir()
    quiet = train(tmp_path / "quiet")
    _killed_after_its_first_checkpoint(tmp_path / "killed")
    left = torch.load(tmp_path / "killed" / CHECKPOINT, weights_only=True)
    assert 4 <= left["step"] < 24
    with pytest.raises(ConfigError, match="of another recipe or other data"):
        train(tmp_path / "killed", identity="another")
    resumed = train(tmp_path / "killed")

    for one, other in zip(quiet, resumed, strict=True):
        assert {**one, "seconds": 0} == {**other, "seconds": 0}
    kept, again = (
        torch.load(tmp_path / name / BEST, weights_only=True) for name in ("quiet", "killed")
    )
    assert kept.keys() == again.keys()
    for name, value in kept.items():
        assert torch.equal(value, again[name]), name
    assert train(tmp_path / "killed") == resumed
