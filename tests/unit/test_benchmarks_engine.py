"""Workloads, parity, model copies and result files of the engine benchmark."""

from __future__ import annotations

import json

import numpy as np
import pytest
from safetensors.numpy import load_file
from tokenizers import Tokenizer

from benchmarks.engine.folders import copy_model, operations_a_token
from benchmarks.engine.parity import ParityError, require_parity
from benchmarks.engine.workload import draw, whole_words
from benchmarks.machine import Machine
from benchmarks.results import FORMAT, EngineResult, Series, Trial, read_result, write_result
from rerank_core.artifact import named_folder, open_artifact
from rerank_core.errors import ArtifactError, ConfigError
from rerank_core.measures import BeirFolder
from tests.tiny_models import make_cross_encoder

TOKENIZER = (named_folder("student") / "tokenizer.json").read_text(encoding="utf-8")


@pytest.fixture
def data(tmp_path):
    """A BEIR folder of three queries and eight products, one of them of 300 words."""
    folder = tmp_path / "shop"
    folder.mkdir()
    products = [{"_id": f"p{i}", "title": f"hammer {i}", "text": f"steel {i}"} for i in range(7)]
    products.append({"_id": "p7", "title": "saw", "text": "wood blade, " * 150})
    (folder / "corpus.jsonl").write_text("".join(json.dumps(one) + "\n" for one in products))
    queries = [{"_id": f"q{i}", "text": text} for i, text in enumerate(("saw", "nail", "axe"))]
    (folder / "queries.jsonl").write_text("".join(json.dumps(one) + "\n" for one in queries))
    return BeirFolder(folder)


def test_a_workload_is_the_same_each_time(data):
    """Same queries, same products, in both workloads and on every run."""
    first, again = (draw(data, TOKENIZER, requests=2, candidates=8) for _ in range(2))
    for one, other in zip(first, again, strict=True):
        assert [(r.query, r.texts) for r in one.requests] == [
            (r.query, r.texts) for r in other.requests
        ]
    titles, texts = first
    assert [r.query for r in titles.requests] == [r.query for r in texts.requests]
    for short, long in zip(titles.requests, texts.requests, strict=True):
        assert all(b.startswith(a) for a, b in zip(short.texts, long.texts, strict=True))


def test_nobody_has_to_cut_a_text(data):
    """[CLS] saw [SEP] + at most 128 + [SEP]; the texts alone tokenise to the same rows."""
    _, texts = draw(data, TOKENIZER, requests=1, candidates=8)
    tokenizer = Tokenizer.from_str(TOKENIZER)
    tokenizer.no_truncation()
    tokenizer.no_padding()
    (request,) = texts.requests
    assert max(request.tokens.lengths) > 120
    for row, text in enumerate(request.texts):
        plain = tokenizer.encode(request.query, text)
        rows = request.tokens.rows(np.array([row]))
        assert rows.ids.tolist() == plain.ids
        assert rows.type_ids.tolist() == plain.type_ids


def test_whole_words_by_hand():
    """Of "unbelievably" the second word's pieces do not all fit, so the word goes."""
    tokenizer = Tokenizer.from_str(TOKENIZER)
    tokenizer.no_padding()
    assert tokenizer.encode("a quizzically", add_special_tokens=False).tokens[0] == "a"
    assert whole_words("a quizzically", tokenizer, most_tokens=2) == "a"
    assert whole_words("one two three", tokenizer, most_tokens=2) == "one two"
    assert whole_words("one two", tokenizer, most_tokens=2) == "one two"


def test_too_few_products_are_named_with_the_mend(data):
    """Eight products are no hundred candidates."""
    with pytest.raises(ConfigError, match=r"3 queries, 8 products.*--candidates"):
        draw(data, TOKENIZER, requests=1, candidates=100)


def test_parity_gives_the_largest_difference():
    """1.5 against 1.496 and -2 against -2.002."""
    found = require_parity([np.array([1.5, -2.0])], [np.array([1.496, -2.002])], "fp32")
    assert found == pytest.approx(0.004)


def test_parity_is_refused_when_scores_differ():
    """0.1 is too much for fp32; NaN passes nothing."""
    wanted = [np.array([1.0, -1.0], np.float32)]
    with pytest.raises(ParityError, match=r"by up to 0\.1000"):
        require_parity([np.array([1.1, -1.0], np.float32)], wanted, "fp32")
    for arithmetic in ("fp32", "reduced"):
        with pytest.raises(ParityError):
            require_parity([np.array([np.nan, 0.0], np.float32)], wanted, arithmetic)


def test_reduced_arithmetic_may_move_scores_but_not_reorder_them_freely():
    """The deviation of 1 and -1 is 1: an error of 0.4 everywhere passes, of 0.6 does not."""
    wanted = [np.array([1.0, -1.0])]
    assert require_parity([np.array([1.4, -1.4])], wanted, "reduced") == pytest.approx(0.4)
    with pytest.raises(ParityError, match="60% of their standard deviation"):
        require_parity([np.array([0.4, -0.4])], wanted, "reduced")


def test_a_cut_model_is_the_first_layers_unchanged(tmp_path):
    """One of two layers; everything else is bit-equal."""
    whole = open_artifact(make_cross_encoder(tmp_path / "whole"))
    cut = open_artifact(copy_model(whole, tmp_path / "cut", layers=1))
    assert cut.object("config.json")["num_hidden_layers"] == 1
    before, after = (load_file(one.folder / "model.safetensors") for one in (whole, cut))
    assert set(before) - set(after) == {name for name in before if "encoder.layer.1." in name}
    assert all(np.array_equal(after[name], before[name]) for name in after)
    with pytest.raises(ArtifactError, match="has 2 layers"):
        copy_model(whole, tmp_path / "more", layers=3)


def test_operations_of_minilm_by_hand():
    """A layer is 2 x (4 x 384^2 + 2 x 384 x 1536) = 3,538,944 a token; the student has three."""
    student = open_artifact(named_folder("student"))
    assert operations_a_token(student) == 3 * 3_538_944
    assert operations_a_token(student, 2) == 2 * 3_538_944


def result(**changes):
    """A small result."""
    machine = Machine("a processor", ("avx2",), 2, "Linux", {"numpy": "2"}, "abc")
    series = Series("R", "padded", (1.5, 2.25), "R", 21.0, 0.001)
    facts = {
        "format": FORMAT,
        "machine": machine,
        "load_before": (0.5, 0.25, 0.1),
        "load_after": (1.0, 0.5, 0.25),
        "model": "student",
        "model_hash": "0" * 64,
        "data": "shop",
        "workloads": {"W1": "titles"},
        "yardstick": "padded batches",
        "rounds": 2,
        "trials": (Trial("forward", "W1", 5, (100, 110), (series,)),),
    }
    return EngineResult(**facts | changes)


def test_a_result_file_is_read_back(tmp_path):
    """Every raw sample, and no half-written file beside it."""
    write_result(result(), tmp_path / "engine.json")
    assert read_result(tmp_path / "engine.json") == result()
    assert [path.name for path in tmp_path.iterdir()] == ["engine.json"]


def test_a_result_of_another_format_is_refused(tmp_path):
    """A reader of format 1 does not guess at 99."""
    write_result(result(format=99), tmp_path / "engine.json")
    with pytest.raises(ConfigError, match="format 99"):
        read_result(tmp_path / "engine.json")
