"""The native encoder over made-up shapes and rows."""

from __future__ import annotations

import threading

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rerank_core.engine.native import NativePath, neighbouring_units
from rerank_core.engine.shape import BertShape
from tests.native_reference import Reference, random_rows, random_weights, runnable_sets

MOST_POSITIONS = 80

shapes = st.builds(
    lambda layers, heads, head_width, ffn, pooler: BertShape(
        layers, heads * head_width, heads, ffn, 40, MOST_POSITIONS, 2, 1e-12, pooler
    ),
    st.integers(1, 3),
    st.integers(1, 5),
    st.integers(1, 40),
    st.integers(1, 200),
    st.booleans(),
)
lengths = st.lists(st.integers(1, MOST_POSITIONS), min_size=1, max_size=7)
poolings = st.sampled_from([None, "mean", "cls"])
SHAPE = BertShape(2, 96, 3, 160, 40, MOST_POSITIONS, 2, 1e-12)


def _agrees(shape, lengths, pooling, seed, outputs, precision="int8"):
    """Whether all sets give the same bits, and what NumPy's encoder gives, in the large."""
    weights = random_weights(shape, seed, outputs=outputs)
    tokens = random_rows(shape, lengths, seed)
    found = {
        name: NativePath(
            weights, shape, pooling, precision=precision, instruction_set=name
        ).forward(tokens)
        for name in runnable_sets(precision)
    }
    first = next(iter(found.values()))
    assert np.isfinite(first).all()
    for name, outputs_of_set in found.items():
        assert (outputs_of_set == first).all(), f"{name} gives other bits"
    wanted = Reference(weights, shape, pooling, precision).forward(tokens)
    classifier = float(np.linalg.norm(weights["classifier.weight"], axis=1).max())
    if _alike(first, wanted, 0.05 * max(1.0, classifier)):
        return True
    # A rounding to int8 that falls the other way moves an output; where attention is sharp, by
    # much. How much, the reference says itself: its weights, moved by less than a float can hold
    # of their sums, round elsewhere.
    random = np.random.default_rng(seed)
    others = [Reference(_moved(weights, random), shape, pooling, precision) for _ in range(5)]
    moved = [other.forward(tokens) for other in others]
    return _alike(first, wanted, 4 * max(np.abs(other - wanted).max() for other in moved))


def _alike(found, wanted, most_apart):
    """By the cosine of all outputs together, or, where these are few and small, each within."""
    cosine = (found * wanted).sum() / np.sqrt((found**2).sum() * (wanted**2).sum() + 1e-30)
    return cosine > 0.99 or np.abs(found - wanted).max() < most_apart


def _moved(weights, random):
    return {
        name: (values * (1 + 1e-6 * random.standard_normal(values.shape))).astype(np.float32)
        for name, values in weights.items()
    }


PRECISIONS = pytest.mark.parametrize("precision", ["int8", "int16"])


@PRECISIONS
@settings(max_examples=25, deadline=None)
@given(shapes, lengths, poolings, st.integers(0, 99), st.integers(1, 20))
def test_any_shape_agrees_with_numpy(precision, shape, lengths, pooling, seed, outputs):
    """Every instruction set of a precision gives the same bits, and what NumPy's encoder gives."""
    assert _agrees(shape, lengths, pooling, seed, outputs, precision)


@pytest.mark.long
@pytest.mark.timeout(1800)
@PRECISIONS
@settings(max_examples=400, deadline=None)
@given(shapes, lengths, poolings, st.integers(0, 9999), st.integers(1, 40))
def test_many_shapes_agree_with_numpy(precision, shape, lengths, pooling, seed, outputs):
    """The same at length."""
    assert _agrees(shape, lengths, pooling, seed, outputs, precision)


@PRECISIONS
@settings(max_examples=40, deadline=None)
@given(lengths, poolings, st.data())
def test_a_row_does_not_know_its_company(precision, lengths, pooling, data):
    """A row's output has the same bits alone, in any order and in any split."""
    path = NativePath(random_weights(SHAPE), SHAPE, pooling, precision=precision)
    tokens = random_rows(SHAPE, lengths)
    together = path.forward(tokens)
    order = np.array(data.draw(st.permutations(range(len(lengths)))))
    cut = data.draw(st.integers(0, len(lengths)))
    assert (path.forward(tokens.rows(order)) == together[order]).all()
    for part in (order[:cut], order[cut:]):
        assert (path.forward(tokens.rows(part)) == together[part]).all()
    for row in range(len(lengths)):
        assert (path.forward(tokens.rows(np.array([row])))[0] == together[row]).all()


@PRECISIONS
def test_threads_do_not_change_a_bit(precision):
    """Eight threads on one path, units taken as they come, give what one thread gives."""
    path = NativePath(random_weights(SHAPE), SHAPE, precision=precision)
    random = np.random.default_rng(3)
    tokens = random_rows(SHAPE, random.integers(1, MOST_POSITIONS, 300).tolist())
    alone = path.forward(tokens)
    units = iter(path.plan(tokens))
    lock, outputs = threading.Lock(), np.full_like(alone, np.nan)

    def work() -> None:
        while True:
            with lock:
                unit = next(units, None)
            if unit is None:
                return
            outputs[unit] = path.forward(tokens.rows(unit))

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (outputs == alone).all()


@given(st.lists(st.integers(1, 600), max_size=60), st.integers(1, 300))
def test_units_keep_every_row_once_and_in_order(lengths, budget):
    """A unit holds neighbours and passes the budget only with a single row."""
    units = neighbouring_units(np.array(lengths, np.int64), budget)
    assert [row for unit in units for row in unit.tolist()] == list(range(len(lengths)))
    for unit in units:
        assert len(unit) == 1 or sum(lengths[row] for row in unit) <= budget
