"""BEIR folders and TREC files: what is written is read, what is wrong is named with its line."""

import gzip
import json

import pytest

from rerank_core.errors import ConfigError, InputError
from rerank_core.measures import BeirFolder, Scale, read_qrels, read_run, write_qrels, write_run


@pytest.fixture
def folder(tmp_path):
    """A BEIR folder of two queries and three products, the corpus compressed."""
    with gzip.open(tmp_path / "corpus.jsonl.gz", "wt", encoding="utf-8") as file:
        for name, title in (("p1", "hammer"), ("p2", "nail é"), ("p3", "saw")):
            file.write(json.dumps({"_id": name, "title": title, "text": "", "tags": ["x"]}) + "\n")
    (tmp_path / "queries.jsonl").write_text(
        '{"_id": "q1", "text": "hammer"}\n\n{"_id": "q2", "text": "saw \\" blade"}\n'
    )
    (tmp_path / "qrels").mkdir()
    (tmp_path / "qrels" / "dev.tsv").write_text(
        "query-id\tcorpus-id\tscore\tvariance\nq1\tp1\t2.67\t0.1\nq1\tp2\t1\t0\nq2\tp3\t3.0\t0\n"
    )
    return BeirFolder(tmp_path)


def test_a_beir_folder_is_read_as_it_lies(folder):
    """Compressed or plain, fractional scores, further columns and fields, blank lines."""
    assert folder.queries() == {"q1": "hammer", "q2": 'saw " blade'}
    assert folder.products()["p2"] == {"title": "nail é", "text": "", "tags": ["x"]}
    assert folder.judgments("dev") == {"q1": {"p1": 2.67, "p2": 1.0}, "q2": {"p3": 3.0}}


def test_a_pair_judged_twice_has_the_mean_of_its_scores(folder):
    """2.67 and 1.67 make 2.17; no judgment is lost and the order of lines decides nothing."""
    path = folder.path / "qrels" / "dev.tsv"
    path.write_text(path.read_text() + "q1\tp1\t1.67\t0\n")
    assert folder.judgments("dev")["q1"]["p1"] == pytest.approx(2.17)


def test_a_file_that_is_not_there_is_named_with_what_to_do(folder, tmp_path):
    """A missing split and a folder that is no BEIR folder."""
    with pytest.raises(ConfigError, match=r"no qrels/train\.tsv; give a folder in BEIR layout"):
        folder.judgments("train")
    with pytest.raises(ConfigError, match=r"no corpus\.jsonl\.gz or corpus\.jsonl"):
        BeirFolder(tmp_path / "nowhere").products()


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("q1\tp3\tgood", "'good' is not a number"),
        ("q1\tp3\tnan", "'nan' is not finite"),
        ("q1\tp3", "is not a number"),
    ],
)
def test_a_bad_judgment_is_named_with_its_line(folder, line, problem):
    """The fifth line is at fault."""
    path = folder.path / "qrels" / "dev.tsv"
    path.write_text(path.read_text() + line + "\n")
    with pytest.raises(InputError, match=r"dev\.tsv:5: .*" + problem):
        folder.judgments("dev")


def test_a_header_without_its_columns_is_refused(folder):
    """A qrels file in another layout is not guessed at."""
    (folder.path / "qrels" / "dev.tsv").write_text("q1 0 p1 3\n")
    with pytest.raises(InputError, match="lacks corpus-id, query-id, score"):
        folder.judgments("dev")


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("{", "not JSON"),
        ("[]", "one JSON object a line"),
        ('{"text": "x"}', "_id must be a string"),
        ('{"_id": "", "text": "x"}', "_id must be a string"),
        ('{"_id": "q3"}', "text must be a string"),
    ],
)
def test_a_bad_query_is_named_with_its_line(folder, line, problem):
    """The first line is at fault."""
    (folder.path / "queries.jsonl").write_text(line + "\n")
    with pytest.raises(InputError, match=r"queries\.jsonl:1: .*" + problem):
        folder.queries()


def test_a_trec_run_has_ranks_by_score_then_id(tmp_path):
    """The columns that trec_eval reads, scores with all their digits."""
    path = tmp_path / "run.txt"
    write_run({"q1": {"b": 0.1, "a": 0.1, "c": 1 / 3}}, path, tag="ours")
    assert path.read_text() == (
        "q1 Q0 c 1 0.3333333333333333 ours\nq1 Q0 a 2 0.1 ours\nq1 Q0 b 3 0.1 ours\n"
    )


def test_trec_qrels_hold_gains_in_whole_percent(tmp_path):
    """2.5 of 1..3 is 75."""
    path = tmp_path / "qrels.txt"
    write_qrels({"q1": {"a": 2.5, "b": 1.0}}, path, Scale(1, 3))
    assert path.read_text() == "q1 0 a 75\nq1 0 b 0\n"
    assert read_qrels(path) == {"q1": {"a": 75.0, "b": 0.0}}


@pytest.mark.parametrize("name", ["", "two words", "tab\tbed"])
def test_an_id_that_a_trec_file_cannot_hold_is_refused_before_anything_is_written(tmp_path, name):
    """A space in an id would shift every column after it."""
    path = tmp_path / "run.txt"
    with pytest.raises(InputError, match="no white space"):
        write_run({"q1": {"fine": 1.0, name: 0.5}}, path, tag="ours")
    assert not path.exists()


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("q1 Q0 a 1 0.5", "5 columns, 6 are due"),
        ("q1 Q0 a 1 high ours", "'high' is not a number"),
        ("q1 Q0 a 1 inf ours", "'inf' is not finite"),
        ("q1 Q0 b 1 0.5 ours\nq1 Q0 b 2 0.4 ours", "'b' stands twice under query 'q1'"),
    ],
)
def test_a_bad_line_of_a_run_is_named(tmp_path, line, problem):
    """File, line and fault."""
    path = tmp_path / "run.txt"
    path.write_text(line + "\n")
    with pytest.raises(InputError, match=r"run\.txt:\d: .*" + problem):
        read_run(path)


def test_a_run_that_is_not_there_is_named(tmp_path):
    """No traceback for a mistyped path."""
    with pytest.raises(ConfigError, match="No such file"):
        read_run(tmp_path / "none.txt")
