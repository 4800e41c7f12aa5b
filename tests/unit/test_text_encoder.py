"""Texts and pairs as token rows, held against the tokenizer itself."""

from __future__ import annotations

import json
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from tokenizers import Tokenizer

from rerank_core.artifact import named_folder
from rerank_core.errors import ArtifactError
from rerank_core.text import ProductTextRecipe, TextEncoder

CLS, SEP = 101, 102  # of the MiniLM vocabulary


@pytest.fixture(scope="module")
def tokenizer_json():
    return (named_folder("minilm") / "tokenizer.json").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def ids(tokenizer_json):
    """The tokenizer's own ids of a text."""
    tokenizer = Tokenizer.from_str(tokenizer_json)
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return lambda text: tokenizer.encode(text, add_special_tokens=False).ids


@pytest.fixture(scope="module")
def encoder(tokenizer_json):
    recipe = ProductTextRecipe(fields=("title",), query_tokens=4, product_tokens=6)
    return TextEncoder(tokenizer_json, recipe)


def row(tokens, index):
    part = slice(tokens.offsets[index], tokens.offsets[index + 1])
    return tokens.ids[part].tolist(), tokens.type_ids[part].tolist()


def products(encoder, texts):
    return [ids.tolist() for ids in encoder.product_ids(texts)]


def test_a_pair_is_query_and_product_in_one_row(encoder, ids):
    """[CLS] query [SEP] is segment 0, product [SEP] is segment 1."""
    query, product = ids("garden hose"), ids("green hose 15 m")
    tokens = encoder.pairs("garden hose", ["green hose 15 m", ""])
    assert row(tokens, 0) == (
        [CLS, *query, SEP, *product, SEP],
        [0] * (len(query) + 2) + [1] * (len(product) + 1),
    )
    assert row(tokens, 1) == ([CLS, *query, SEP, SEP], [0] * (len(query) + 2) + [1])
    assert len(tokens) == 2


def test_a_text_alone_is_one_segment(encoder, ids):
    tokens = encoder.texts(["green hose", "oak"])
    assert row(tokens, 0) == ([CLS, *ids("green hose"), SEP], [0, 0, 0, 0])
    assert row(tokens, 1) == ([CLS, *ids("oak"), SEP], [0, 0, 0])


def test_a_long_product_never_shortens_the_query(encoder, ids):
    """Each part loses its own end, at its own limit."""
    words = "one two three four five six seven eight nine ten"
    tokens = encoder.pairs(words, [words])
    assert row(tokens, 0)[0] == [CLS, *ids("one two three four"), SEP, *ids(words)[:6], SEP]
    assert encoder.query_ids(words).tolist() == ids(words)[:4]
    assert products(encoder, [words, "one"]) == [ids(words)[:6], ids("one")]


def test_the_cut_is_by_tokens_not_by_words(encoder, ids):
    """A word of many tokens may lose its end."""
    long_word = "antidisestablishmentarianism"
    assert len(ids(long_word)) > 6
    assert products(encoder, [long_word]) == [ids(long_word)[:6]]


@pytest.mark.parametrize("word", ["[SEP]", "[CLS]", "[PAD]", "[MASK]", "[UNK]"])
def test_special_tokens_in_a_text_are_plain_text(encoder, ids, word):
    """Nobody ends the query early by writing the separator into it."""
    special = ids(word)
    assert len(special) == 1
    spelt = encoder.query_ids(word).tolist()
    assert len(spelt) >= 3
    assert special[0] not in spelt
    tokens = encoder.pairs(word, [word])
    assert tokens.ids.tolist().count(SEP) == 2
    assert tokens.ids.tolist().count(CLS) == 1


@pytest.mark.parametrize("blank", [" ", "\n", "\x00", "\u2003", "\ud800"])
def test_blanks_before_a_text_do_not_use_up_its_limit(encoder, ids, blank):
    assert encoder.query_ids(blank * 5000 + "oak").tolist() == ids("oak")
    assert products(encoder, ["oak" + blank * 5000 + "shelf"]) == [ids("oak shelf")]


def test_megabytes_are_cut_like_any_text(encoder, ids):
    """What stands past the limit is not read, whatever its size."""
    assert products(encoder, ["oak shelf " * 100_000]) == [ids("oak shelf " * 3)]


def test_no_products_are_no_rows(encoder):
    assert len(encoder.pairs("oak", [])) == 0
    assert len(encoder.texts([])) == 0


def test_the_vocabulary_ends_after_the_largest_id(tokenizer_json):
    """An added token far out counts by its id, which is what the model looks up."""
    recipe = ProductTextRecipe(fields=("title",))
    assert TextEncoder(tokenizer_json, recipe).vocabulary_size == 30522
    data = json.loads(tokenizer_json)
    data["model"]["vocab"]["far"] = 40_000
    assert TextEncoder(json.dumps(data), recipe).vocabulary_size == 40_001


def test_what_is_no_bert_tokenizer_is_refused(tokenizer_json):
    recipe = ProductTextRecipe(fields=("title",))
    with pytest.raises(ArtifactError, match=r"tokenizer\.json"):
        TextEncoder("{}", recipe)
    data = json.loads(tokenizer_json)
    data["post_processor"] = None
    with pytest.raises(ArtifactError, match="not of the BERT family"):
        TextEncoder(json.dumps(data), recipe)


def test_a_vocabulary_without_a_token_for_the_unknown_is_refused(tokenizer_json):
    """It would fail at the first text that needs it."""
    data = json.loads(tokenizer_json)
    del data["model"]["vocab"]["[UNK]"]
    with pytest.raises(ArtifactError, match=r"tokenizer\.json: \[UNK\], which stands for"):
        TextEncoder(json.dumps(data), ProductTextRecipe(fields=("title",)))


def test_a_tokenizer_that_panics_is_refused(tokenizer_json):
    """In `tokenizers` that is no `Exception`: its template names tokens that are not there."""
    data = json.loads(tokenizer_json)
    data["post_processor"]["special_tokens"] = {}
    with pytest.raises(ArtifactError, match=r"tokenizer\.json: no entry found for key"):
        TextEncoder(json.dumps(data), ProductTextRecipe(fields=("title",)))


def test_a_query_is_tokenised_once_though_its_parts_begin_together(encoder, monkeypatch):
    """Four workers ask for its tokens while the first still makes them."""
    asked = []
    tokenise = encoder._ids

    def slowly(texts, most):
        asked.extend(texts)
        time.sleep(0.05)
        return tokenise(texts, most)

    monkeypatch.setattr(encoder, "_ids", slowly)
    pair = encoder.pairing("garden hose")
    with ThreadPoolExecutor(4) as pool:
        rows = [row(one, 0) for one in pool.map(pair, [["oak"]] * 4)]
    assert asked.count("garden hose") == 1
    assert rows == [rows[0]] * 4


def test_a_product_is_tokenised_once(encoder, monkeypatch):
    """Its tokens are those of the first time, whatever stands beside it and for whatever query."""
    asked = []
    tokenise = encoder._ids
    monkeypatch.setattr(
        encoder, "_ids", lambda texts, most: asked.extend(texts) or tokenise(texts, most)
    )
    first = encoder.pairs("hose", ["red oak", "blue oak"])
    again = encoder.pairs("hose", ["new", "blue oak", "red oak", "red oak"])
    assert asked == ["hose", "red oak", "blue oak", "hose", "new"]
    assert row(again, 1) == row(first, 1)
    assert row(again, 2) == row(again, 3) == row(first, 0)
    encoder.texts(["red oak"])
    assert asked[5:] == ["red oak"], "a text that is encoded once in its life takes no place"
