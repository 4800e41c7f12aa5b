"""On the native path a pair's score is its own: whatever it is scored with, and by how many."""

from __future__ import annotations

import functools
import itertools
import os
import random
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from demo.listing import write_listing
from demo.products import make_products
from rerank_core.artifact import open_named
from rerank_core.engine import CrossEncoder, Engine, load_cross_encoder
from rerank_core.engine.selection import PathChoice
from rerank_core.measures import BeirFolder

QUERIES = ("cordless drill 18 V", "dog crate black medium", "oak shelf")


PATHS: tuple[PathChoice, ...] = ("native-int8", "native-int16")


@functools.cache
def student(path: PathChoice = PATHS[0]) -> CrossEncoder:
    return load_cross_encoder(open_named("student"), path)


@functools.cache
def texts() -> tuple[str, ...]:
    """Real products where RERANK_DATA names some, else the made-up shop's; of every length.

    From a word to far over the model's limit.
    """
    recipe = student().artifact.manifest.recipe
    if data := os.environ.get("RERANK_DATA"):
        real = BeirFolder(Path(data) / "esci150").products()
        products = [recipe.compose(one) for one in itertools.islice(real.values(), 60)]
    else:
        products = [recipe.compose(write_listing(one, 3)) for one in make_products(60, seed=3)]
    cut = random.Random(5)
    shortened = [text[: cut.randint(3, 400)] for text in products]
    return (*shortened, " ".join(products[:4]), "drill")


@pytest.fixture(scope="module", params=[1, 2, 5])
def engine(request):
    with Engine(request.param) as engine:
        yield engine


@functools.cache
def alone(path: PathChoice, query: str, text: str) -> float:
    """The bits of a score that was computed by itself."""
    with Engine(1) as single:
        return dict(single.submit(student(path), query, [text]))[0]


@pytest.mark.parametrize("path", PATHS)
@settings(max_examples=12, deadline=None)
@given(data=st.data())
def test_scores_are_bit_equal_in_any_company(engine, path, data):
    """Any subset in any order, in one request or beside another, by one worker or several."""
    query = data.draw(st.sampled_from(QUERIES))
    shown = data.draw(st.permutations(range(len(texts()))))
    part = shown[: data.draw(st.integers(1, len(shown)))]
    beside = engine.submit(student(path), "another query", list(texts()))
    scores = dict(engine.submit(student(path), query, [texts()[place] for place in part]))
    list(beside)
    for index, place in enumerate(part):
        assert scores[index] == alone(path, query, texts()[place])
