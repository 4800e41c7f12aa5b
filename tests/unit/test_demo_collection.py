"""A collection holds what can be measured, and says what it leaves out."""

import json

import pytest

from demo.collection import read_collection
from demo.walkthrough import alias_of
from rerank_core.errors import ConfigError, InputError
from rerank_core.measures import Scale


def _folder(tmp_path, judgments, queries=("q1", "q2", "q3"), products=("p1", "p2", "p3")):
    rows = [{"_id": name, "title": f"Title {name}", "text": ""} for name in products]
    (tmp_path / "corpus.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    rows = [{"_id": name, "text": f"words of {name}"} for name in queries]
    (tmp_path / "queries.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (tmp_path / "qrels").mkdir()
    lines = ["query-id\tcorpus-id\tscore", *("\t".join(map(str, row)) for row in judgments)]
    (tmp_path / "qrels" / "dev.tsv").write_text("\n".join(lines) + "\n")
    return tmp_path


def test_queries_with_one_grade_are_left_out_and_the_scale_is_the_whole_splits(tmp_path):
    """q2 has only grade 3: any order of it is perfect. The scale still runs to 3."""
    judgments = [("q1", "p1", 1), ("q1", "p2", 2.5), ("q2", "p1", 3), ("q2", "p2", 3)]

    collection = read_collection(_folder(tmp_path, judgments), "dev")

    assert collection.queries == {"q1": "words of q1"}
    assert collection.judgments == {"q1": {"p1": 1.0, "p2": 2.5}}
    assert collection.scale == Scale(1.0, 3.0)
    assert collection.strangers == 0


def test_judgments_on_products_that_are_not_there_are_counted(tmp_path):
    """They cannot be reranked; without them q2 has one grade left and goes too."""
    judgments = [("q1", "p1", 0), ("q1", "p2", 3), ("q1", "gone", 3), ("q2", "p1", 1),
                 ("q2", "gone", 0)]  # fmt: skip

    collection = read_collection(_folder(tmp_path, judgments), "dev")

    assert collection.judgments == {"q1": {"p1": 0.0, "p2": 3.0}}
    assert collection.strangers == 2


def test_what_cannot_be_measured_is_an_error_that_says_why(tmp_path):
    """No mixed query; a query that is judged and not there; no such split."""
    folder = _folder(tmp_path, [("q1", "p1", 1), ("q1", "p2", 1), ("q9", "p1", 0)])

    with pytest.raises(InputError, match=r"qrels/dev.tsv: judges query 'q9'"):
        read_collection(folder, "dev")
    (folder / "qrels" / "dev.tsv").write_text("query-id\tcorpus-id\tscore\nq1\tp1\t1\n")
    with pytest.raises(InputError, match="no query has products of two different grades"):
        read_collection(folder, "dev")
    with pytest.raises(ConfigError, match=r"test\.tsv"):
        read_collection(folder, "test")


@pytest.mark.parametrize(
    ("name", "alias"),
    [
        ("esci150", "walkthrough-esci150"),
        ("My Shop, 2024", "walkthrough-my-shop-2024"),
        ("Größe", "walkthrough-gr-e"),
    ],
)
def test_an_alias_is_made_of_what_aliases_may_hold(tmp_path, name, alias):
    """And begins so that it is nobody's own."""
    assert alias_of(tmp_path / name) == alias
