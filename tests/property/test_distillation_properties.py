"""What holds for any logits, any rankings and any labels."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from distillation.batches import Batch, even
from distillation.calibration import fit_platt, quality
from distillation.labels.store import LabelStore, label_key, logits
from distillation.losses import grade_shares, margin_mse
from distillation.pool.drawing import draw, generator
from distillation.pool.shutting import shut_out
from distillation.teachers.contract import Pair, TeacherIdentity, TeacherScores
from tests.property.strategies import phrases

moderate = st.floats(-30, 30, width=32)
lists = st.lists(
    st.lists(st.tuples(moderate, moderate), min_size=1, max_size=7), min_size=1, max_size=5
)


@settings(deadline=None)
@given(lists)
def test_margin_mse_in_linear_time_is_the_quadratic_definition(found):
    """The mean over lists of the mean over ordered pairs of squared errors of margins."""
    flat = [pair for one in found for pair in one]
    student = torch.tensor([pair[0] for pair in flat], dtype=torch.float64)
    teacher = torch.tensor([pair[1] for pair in flat], dtype=torch.float64)
    numbers = torch.tensor([n for n, one in enumerate(found) for _ in one])
    means = []
    for one in found:
        errors = [
            ((a[0] - b[0]) - (a[1] - b[1])) ** 2
            for i, a in enumerate(one)
            for j, b in enumerate(one)
            if i != j
        ]
        means += [np.mean(errors)] if errors else []
    expected = float(np.mean(means)) if means else 0.0
    assert margin_mse(student, teacher, numbers).item() == pytest.approx(expected, abs=1e-6)


@settings(deadline=None)
@given(st.lists(st.floats(0, 1, width=32), min_size=1, max_size=9), st.integers(2, 6))
def test_a_share_as_a_distribution_keeps_its_expectation(shares, classes):
    """Every row sums to 1, and the mean grade is the share, as rater means are fractions."""
    found = grade_shares(torch.tensor(shares), classes)
    grades = torch.linspace(0, 1, classes)
    assert found.sum(1).tolist() == pytest.approx([1.0] * len(shares))
    assert (found @ grades).tolist() == pytest.approx(shares, abs=1e-5)
    assert ((found > 0).sum(1) <= 2).all()


@settings(deadline=None)
@given(
    st.lists(st.integers(0, 29), unique=True, max_size=20),
    st.lists(st.integers(0, 29), unique=True, max_size=20),
    st.lists(phrases, min_size=30, max_size=30),
    st.integers(0, 2**32),
)
def test_a_drawn_list_holds_no_text_twice_and_no_more_than_was_asked_for(bm25, near, texts, seed):
    """Whatever the rankings: counts are upper bounds, and a place comes from its own ranking."""
    counts = {"bm25": 4, "neighbour": 3, "random": 2}
    chosen = draw({"bm25": bm25, "neighbour": near}, counts, texts, generator(seed, "q"))
    shown = [texts[place] for place, _ in chosen]
    assert len(set(shown)) == len(shown)
    assert all(shown)
    for origin, most in counts.items():
        places = [place for place, name in chosen if name == origin]
        assert len(places) <= most
        assert origin == "random" or set(places) <= set(bm25 if origin == "bm25" else near)
    assert chosen == draw({"bm25": bm25, "neighbour": near}, counts, texts, generator(seed, "q"))


@settings(deadline=None)
@given(st.lists(phrases, min_size=1, max_size=6), st.randoms(use_true_random=False))
def test_no_judged_query_gets_past_in_any_case_or_order(judged, random):
    """The words of a judged query, shuffled and in capitals, are shut out."""
    disguised = []
    for query in judged:
        words = query.upper().split()
        random.shuffle(words)
        disguised.append("  ".join(words))
    assert set(shut_out(disguised, judged)) == set(range(len(judged)))


@settings(deadline=None)
@given(st.integers(1, 20), st.integers(1, 30))
def test_an_even_batch_has_the_same_rows_and_whole_multiples(rows, length):
    """Filler is masked, so that a network gives the first rows what it gave before."""
    ids = torch.randint(1, 99, (rows, length))
    batch = Batch(ids, ids % 2, torch.ones_like(ids), torch.zeros(rows), torch.zeros(rows))
    filled = even(batch)
    assert filled.ids.shape[0] % 16 == 0
    assert filled.ids.shape[1] % 8 == 0
    assert torch.equal(filled.ids[:rows, :length], ids)
    assert filled.mask[:rows].sum() == rows * length
    assert (filled.mask.sum(1) >= 1).all()
    assert len(filled.targets) == rows


@settings(deadline=None)
@given(
    st.lists(
        st.tuples(phrases, phrases, st.floats(-9, 9, width=32) | st.just(float("nan"))), max_size=20
    ),
    st.integers(1, 5),
)
def test_a_store_gives_back_the_last_answer_of_each_pair(tmp_path_factory, rows, chunk):
    """Whatever the chunks; NaN stays NaN, and what was never asked is NaN too."""
    store = LabelStore(tmp_path_factory.mktemp("store"))
    identity = TeacherIdentity("t", "r", "p")
    pairs = [Pair(query, product) for query, product, _ in rows]
    first: dict[bytes, float] = {}
    for pair, (_, _, logit) in zip(pairs, rows, strict=True):
        first.setdefault(label_key(identity, pair), logit)
    unique = {label_key(identity, pair): pair for pair in pairs}
    asked = list(unique.values())
    for start in range(0, len(asked), chunk):
        part = asked[start : start + chunk]
        found = np.array([first[label_key(identity, pair)] for pair in part], np.float32)
        store.append(identity, part, TeacherScores(found))
    known = store.read()
    expected = [first[label_key(identity, pair)] for pair in pairs]
    np.testing.assert_array_equal(logits(known, identity, pairs), np.array(expected, np.float32))
    other = TeacherIdentity("t", "another revision", "p")
    assert np.isnan(logits(known, other, pairs)).all()


@settings(deadline=None)
@given(st.floats(0.2, 3), st.floats(-2, 2), st.integers(0, 99))
def test_platt_finds_the_line_that_made_the_shares(slope, intercept, seed):
    """Shares that are a sigmoid of the logit are found again, and are calibrated."""
    scores = np.random.default_rng(seed).normal(0, 2, 200)
    shares = 1 / (1 + np.exp(-(slope * scores + intercept)))
    line = fit_platt(scores.tolist(), shares.tolist())
    assert (line.slope, line.intercept) == pytest.approx((slope, intercept), abs=0.02)
    assert quality(line(scores), shares.tolist()).ece < 0.01
