"""What a server refuses, fails at and leaves untold: a small one, asked over real HTTP."""

import io
import math

import numpy as np
import pytest
from rich.console import Console

from distillation.labels.labelling import Labelling
from distillation.labels.store import LabelStore, logits
from distillation.pipeline.members import ServerTeacher as Settings
from distillation.teachers.contract import Pair
from distillation.teachers.cosine import CosineTeacher
from distillation.teachers.mean import MeanTeacher
from distillation.teachers.server import ServerTeacher
from rerank_core.errors import ScoringError
from rerank_core.text import ProductTextRecipe
from tests.label_server import listening

TEXT = ProductTextRecipe(("title",), query_tokens=16, product_tokens=32)
PAIRS = [Pair("oak shelf", f"shelf {number}") for number in range(20)]


@pytest.fixture
def server():
    """Listening until the test ends."""
    with listening() as one:
        yield one


def _teacher(server, **changes):
    values = {"revision": "r1", "concurrency": 1} | changes
    prompt = "Query: {query}\nProduct: {product}\nAnswer:"
    return ServerTeacher(
        Settings("server", TEXT, server.url, "small", prompt, (" No", " Yes"), **values)
    )


def _label(store, teacher, pairs=PAIRS):
    show = Console(file=io.StringIO())
    return Labelling(store, chunk=20, cap=1000, show=show).label(teacher, pairs)


@pytest.mark.parametrize("status", [400, 422])
def test_a_pair_that_the_server_refuses_is_unreadable_and_stops_nothing(server, tmp_path, status):
    """The other nineteen are labelled by log .8 / .2, and none is asked for again."""
    server.statuses["5"] = status
    store, teacher = LabelStore(tmp_path), _teacher(server)
    assert _label(store, teacher) == 20
    assert _label(store, teacher) == 0
    found = logits(store.read(), teacher.identity, PAIRS)
    expected = [np.nan if number == 5 else math.log(4) for number in range(20)]
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_what_was_answered_before_a_failure_is_kept(server, tmp_path, monkeypatch):
    """The twelfth pair meets a server that is down: eleven answers are there, nine are asked."""
    monkeypatch.setattr("distillation.teachers.server._RETRIES", 0)
    server.statuses["2"] = 503
    order = sorted(PAIRS, key=lambda pair: pair.product)
    before = order.index(PAIRS[2])
    store = LabelStore(tmp_path)
    with pytest.raises(ScoringError, match=r"127\.0\.0\.1.*the filter says no"):
        _label(store, _teacher(server))
    assert len(store.read()) == before > 1
    server.statuses.clear()
    assert _label(store, _teacher(server)) == 20 - before


def test_a_mean_keeps_whole_answers_alone(server, tmp_path, monkeypatch):
    """What the server was not asked, no other member makes up for."""
    monkeypatch.setattr("distillation.teachers.server._RETRIES", 0)
    server.statuses["2"] = 503
    cosine = CosineTeacher("minilm", TEXT)
    store, mean = LabelStore(tmp_path), MeanTeacher([_teacher(server), cosine], [1.0, 2.0])
    with pytest.raises(ScoringError, match="the filter says no"):
        _label(store, mean)
    order = sorted(PAIRS, key=lambda pair: pair.product)
    answered = order[: order.index(PAIRS[2])]
    expected = (math.log(4) + cosine.score(answered).logits / 2) / 2
    np.testing.assert_allclose(logits(store.read(), mean.identity, answered), expected, rtol=1e-5)
    assert len(store.read()) == len(answered)


def test_a_server_that_refuses_everything_is_named_and_nothing_is_kept(server, tmp_path):
    """A request that it cannot serve at all: the mend is in the settings, not in the pairs."""
    server.statuses |= {"shelf": 400, "Answer:": 400}
    with pytest.raises(ScoringError, match=r"refuses every pair: .*the filter says no"):
        _label(LabelStore(tmp_path), _teacher(server))
    assert not LabelStore(tmp_path).read()


def test_pairs_that_are_refused_together_are_no_fault_of_the_request(server, tmp_path):
    """A query that a filter bars, alone at the end of a pool: a harmless pair tells the two."""
    server.statuses["oak"] = 400
    assert _label(LabelStore(tmp_path), _teacher(server), PAIRS[:3]) == 3
    assert len(LabelStore(tmp_path).read()) == 3


@pytest.mark.parametrize(
    ("top", "expected"),
    [
        ({" Yes": 0.9}, math.log(9)),  # what is left of the whole
        ({" Yes": 0.6, " maybe": 0.05, " the": 0.3}, math.log(12)),  # the least likely told
    ],
)
def test_a_grade_that_is_not_told_is_as_likely_as_it_can_be_at_most(
    server, tmp_path, top, expected
):
    """And no more than that: as impossible it would be 13.8, and weigh more than all others."""
    server.top = {token: math.log(share) for token, share in top.items()}
    store, teacher = LabelStore(tmp_path), _teacher(server)
    _label(store, teacher, PAIRS[:2])
    found = logits(store.read(), teacher.identity, PAIRS[:2])
    np.testing.assert_allclose(found, [expected] * 2, rtol=1e-4)
    assert store.missed(teacher.identity) == 2


def test_an_answer_that_tells_no_grade_is_unreadable(server):
    """Both grades count as missed; tokens are those that the server bills."""
    server.top = {" the": -0.5}
    found = _teacher(server).score(PAIRS[:3])
    assert np.isnan(found.logits).all()
    assert found.missed.tolist() == [2, 2, 2]
    assert found.tokens == 24
