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

from distillation.labels.labelling import Labelling
from distillation.labels.store import LabelStore, logits
from distillation.teachers.contract import Pair, TeacherIdentity, TeacherScores
from rerank_core.errors import ConfigError

IDENTITY = TeacherIdentity("counting", "r1", "p1")
PAIRS = [Pair(f"query {number // 4}", f"product {number}") for number in range(400)]
WRITER = """
import sys
sys.path.insert(0, sys.argv[2])
from pathlib import Path
from tests.integration.test_distillation_labels import PAIRS, Counting, labelling
labelling(Path(sys.argv[1]), chunk=5).label(Counting(), PAIRS)
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


def labelling(folder, *, chunk=100, cap=1000):
    """Over a store in the folder; it says nothing."""
    return Labelling(LabelStore(folder), chunk=chunk, cap=cap, show=Console(file=io.StringIO()))


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
    labelling(tmp_path, chunk=50).label(teacher, PAIRS)
    assert teacher.asked == len(PAIRS) - len(kept)
    found = logits(store.read(), IDENTITY, PAIRS)
    expected = [np.nan if number % 10 == 0 else number for number in range(400)]
    np.testing.assert_array_equal(found, np.array(expected, np.float32))


def test_an_answer_that_could_not_be_read_is_asked_for_once(tmp_path):
    """It is kept as NaN, apart, and a second labelling asks nothing."""
    desk, teacher = labelling(tmp_path), Counting()
    assert desk.label(teacher, PAIRS) == 400
    assert desk.label(teacher, PAIRS) == 0
    assert np.isnan(desk.known(teacher, PAIRS)).sum() == 40


def test_a_sample_prices_the_rest_and_its_answers_are_kept(tmp_path):
    """Twenty are asked for, 380 are left, and time for those is foretold."""
    desk, teacher = labelling(tmp_path, chunk=8), Counting()
    found = desk.price(teacher, [*PAIRS, PAIRS[0]], sample=20)
    assert (found.pairs, found.known, found.tried, teacher.asked) == (400, 0, 20, 20)
    assert found.seconds > 0
    assert len(desk.missing(teacher, PAIRS)) == 380


def test_a_sample_is_of_all_queries_and_the_same_each_time(tmp_path):
    """Forty of a hundred queries of four pairs: not the first ten of them."""
    drawn = []
    for name in ("one", "other"):
        desk, teacher = labelling(tmp_path / name), Counting()
        desk.price(teacher, PAIRS, sample=40)
        left = {pair.product for pair in desk.missing(teacher, PAIRS)}
        drawn.append([pair for pair in PAIRS if pair.product not in left])
    assert drawn[0] == drawn[1]
    assert len({pair.query for pair in drawn[0]}) > 20


def test_the_cap_stops_before_anything_is_asked_for(tmp_path):
    """A pool ten times too large costs nothing."""
    desk, teacher = labelling(tmp_path, cap=399), Counting()
    for ask in (desk.label, desk.answers, desk.require_room):
        with pytest.raises(
            ConfigError, match=r"400 pairs to label, the cap is 399; raise labels\.cap"
        ):
            ask(teacher, PAIRS)
    assert teacher.asked == 0


def test_the_cap_is_over_all_that_is_asked_for(tmp_path):
    """A sample counts, and so does what was labelled before; known answers do not."""
    desk, teacher = labelling(tmp_path, cap=100), Counting()
    assert desk.price(teacher, PAIRS, sample=256).tried == 100
    with pytest.raises(ConfigError, match="300 pairs to label after 100, the cap is 100"):
        desk.label(teacher, PAIRS)
    assert teacher.asked == 100
    other = labelling(tmp_path, cap=300)
    assert other.label(teacher, PAIRS) == 300


def test_pairs_are_asked_for_query_by_query(tmp_path):
    """Whatever order they came in: prefix caches hit, and a pair is asked for once."""
    mixed = [PAIRS[number] for number in (5, 1, 6, 0, 1)]
    left = labelling(tmp_path).missing(Counting(), mixed)
    assert [pair.product for pair in left] == ["product 0", "product 1", "product 5", "product 6"]
