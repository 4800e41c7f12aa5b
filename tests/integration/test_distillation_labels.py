"""The label store under kill -9: a real process, really killed."""

import io
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from distillation.labels.labelling import label, missing, price
from distillation.labels.store import LabelStore, logits
from distillation.teachers.contract import Pair, TeacherIdentity, TeacherScores
from rerank_core.errors import ConfigError

IDENTITY = TeacherIdentity("counting", "r1", "p1")
PAIRS = [Pair(f"query {number // 4}", f"product {number}") for number in range(400)]
WRITER = """
import sys
sys.path.insert(0, sys.argv[2])
from pathlib import Path
from tests.integration.test_distillation_labels import IDENTITY, PAIRS, Counting, quiet
from distillation.labels.labelling import label
from distillation.labels.store import LabelStore
label(LabelStore(Path(sys.argv[1])), Counting(), PAIRS, chunk=5, cap=1000, show=quiet())
"""


class Counting:
    """A teacher whose logit is the product's number, or NaN for every tenth; it counts."""

    identity = IDENTITY
    text = None

    def __init__(self):
        self.asked = 0

    def score(self, pairs):
        """Answers, and counts."""
        self.asked += len(pairs)
        numbers = np.array([int(pair.product.split()[1]) for pair in pairs], np.float32)
        return TeacherScores(np.where(numbers % 10 == 0, np.nan, numbers))


def quiet():
    """Says nothing."""
    return Console(file=io.StringIO())


def test_a_killed_labelling_loses_one_chunk_at_most_and_goes_on(tmp_path):
    """Killed in the middle: every shard is whole, and only the rest is asked for."""
    root = str(Path(__file__).parents[2])
    writer = subprocess.Popen([sys.executable, "-c", WRITER, str(tmp_path), root], cwd=root)
    store = LabelStore(tmp_path)
    deadline = time.monotonic() + 120
    while store.shards() < 5 and writer.poll() is None and time.monotonic() < deadline:
        time.sleep(0.001)
    writer.send_signal(signal.SIGKILL)
    assert writer.wait() == -signal.SIGKILL, "it was done before it could be killed"
    kept = store.read()
    assert len(kept) == 5 * store.shards()
    assert 25 <= len(kept) < len(PAIRS)
    teacher = Counting()
    label(store, teacher, PAIRS, chunk=50, cap=1000, show=quiet())
    assert teacher.asked == len(PAIRS) - len(kept)
    found = logits(store.read(), IDENTITY, PAIRS)
    expected = [np.nan if number % 10 == 0 else number for number in range(400)]
    np.testing.assert_array_equal(found, np.array(expected, np.float32))


def test_an_answer_that_could_not_be_read_is_asked_for_once(tmp_path):
    """It is kept as NaN, apart, and a second labelling asks nothing."""
    store, teacher = LabelStore(tmp_path), Counting()
    assert label(store, teacher, PAIRS, chunk=100, cap=1000, show=quiet()) == 400
    assert label(store, teacher, PAIRS, chunk=100, cap=1000, show=quiet()) == 0
    assert np.isnan(logits(store.read(), IDENTITY, PAIRS)).sum() == 40


def test_a_dry_run_prices_the_rest_and_keeps_its_answers(tmp_path):
    """Twenty are asked for, 380 are left, and time for those is foretold."""
    store, teacher = LabelStore(tmp_path), Counting()
    found = price(store, teacher, [*PAIRS, PAIRS[0]], dry_run=20, chunk=8)
    assert (found.pairs, found.known, found.tried, teacher.asked) == (400, 0, 20, 20)
    assert found.seconds > 0
    assert len(missing(store, teacher, PAIRS)) == 380


def test_the_cap_stops_before_anything_is_asked_for(tmp_path):
    """A pool ten times too large costs nothing."""
    teacher = Counting()
    with pytest.raises(ConfigError, match=r"400 pairs to label, the cap is 399; raise labels\.cap"):
        label(LabelStore(tmp_path), teacher, PAIRS, chunk=8, cap=399, show=quiet())
    assert teacher.asked == 0


def test_pairs_are_asked_for_query_by_query(tmp_path):
    """Whatever order they came in: prefix caches hit, and a pair is asked for once."""
    mixed = [PAIRS[number] for number in (5, 1, 6, 0, 1)]
    left = missing(LabelStore(tmp_path), Counting(), mixed)
    assert [pair.product for pair in left] == ["product 0", "product 1", "product 5", "product 6"]
