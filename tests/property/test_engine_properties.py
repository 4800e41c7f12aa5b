"""Properties of splitting work into units and of the scores that come out."""

from __future__ import annotations

import functools
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rerank_core.artifact import open_artifact
from rerank_core.engine import CrossEncoder, Ended, Engine, load_cross_encoder
from rerank_core.engine.onnx_path import equal_length_units
from tests.property.strategies import any_characters, phrases
from tests.tiny_models import make_cross_encoder

# Each example computes; timing decides nothing.
computing = settings(max_examples=25, deadline=None)


@functools.cache
def cross() -> CrossEncoder:
    with tempfile.TemporaryDirectory() as folder:
        return load_cross_encoder(open_artifact(make_cross_encoder(Path(folder) / "cross")))


@pytest.fixture(scope="module")
def engine():
    with Engine(3) as engine:
        yield engine


@given(st.lists(st.integers(2, 40), max_size=60), st.integers(1, 128))
def test_units_hold_every_row_once_and_are_of_one_length(lengths, unit_tokens):
    """Within the bound, or one row; the first rows first, as the first stage ranked them."""
    units = equal_length_units(np.array(lengths, np.int64), unit_tokens)
    assert sorted(row for unit in units for row in unit.tolist()) == list(range(len(lengths)))
    for unit in units:
        assert len({lengths[row] for row in unit}) == 1
        assert len(unit) == 1 or len(unit) * lengths[unit[0]] <= unit_tokens
    firsts = [int(unit[0]) for unit in units]
    assert firsts == sorted(firsts)
    assert all((np.diff(unit) > 0).all() for unit in units)


@computing
@given(phrases, st.lists(phrases, max_size=12), st.data())
def test_a_score_is_the_same_however_the_products_are_split(engine, query, products, data):
    """In one request, in several, in another order: each product once, with its own score."""
    whole = dict(engine.submit(cross(), query, products))
    assert sorted(whole) == list(range(len(products)))
    order = data.draw(st.permutations(range(len(products))))
    cut = data.draw(st.integers(0, len(products)))
    parts = [order[:cut], order[cut:]]
    streams = [engine.submit(cross(), query, [products[at] for at in part]) for part in parts]
    for part, stream in zip(parts, streams, strict=True):
        scored = list(stream)
        assert stream.ended is Ended.DONE
        assert len(scored) == len(part)
        for index, logit in scored:
            assert logit == pytest.approx(whole[part[index]], abs=1e-4)


@computing
@given(any_characters, st.lists(any_characters, min_size=1, max_size=6))
def test_any_text_gets_a_finite_score(engine, query, products):
    """Empty, control characters, lone surrogates, any script."""
    scored = dict(engine.submit(cross(), query, products))
    assert len(scored) == len(products)
    assert np.isfinite(list(scored.values())).all()


ODD_TEXTS = {
    "empty": "",
    "control characters": "\x00\x01",
    "a lone surrogate": "\ud800",
    "emoji": "\U0001f600" * 3000,
    "one word of 1 MB": "a" * 1_000_000,
    "1 MB": "oak shelf " * 100_000,
    "1 MB of blanks": "\n" * 1_000_000,
}


@pytest.mark.parametrize("text", ODD_TEXTS.values(), ids=ODD_TEXTS.keys())
def test_odd_texts_score_as_query_and_as_product(engine, text):
    scored = dict(engine.submit(cross(), text, [text, "garden hose"]))
    assert len(scored) == 2
    assert np.isfinite(list(scored.values())).all()
