"""BEIR folders and TREC files: what is written is read, what is wrong is named with its line."""

import bz2
import gzip
import json

import numpy as np
import pyarrow as pa
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
    with pytest.raises(ConfigError, match=r"no qrels/train\.tsv.*; give a folder in BEIR"):
        folder.judgments("train")
    with pytest.raises(ConfigError, match=r"no corpus\.jsonl, plain or compressed"):
        BeirFolder(tmp_path / "nowhere").products()


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("q1\tp3\tgood", "'good' is not a number"),
        ("q1\tp3\tnan", "'nan' is not finite"),
        ("q1\tp3", "is not a number"),
        ("\tp3\t1", "must not be empty"),
        ("q1\t\t1", "must not be empty"),
    ],
)
def test_a_bad_judgment_is_named_with_its_line(folder, line, problem):
    """The fifth line is at fault."""
    path = folder.path / "qrels" / "dev.tsv"
    path.write_text(path.read_text() + line + "\n")
    with pytest.raises(InputError, match=r"dev\.tsv:5: .*" + problem):
        folder.judgments("dev")


def test_a_short_row_is_named_whatever_order_its_columns_have(folder):
    """Where the score stands first a product without an id is none."""
    (folder.path / "qrels" / "dev.tsv").write_text("score\tquery-id\tcorpus-id\n1\tq1\n")
    with pytest.raises(InputError, match=r"dev\.tsv:2: .*must not be empty"):
        folder.judgments("dev")


@pytest.mark.parametrize(
    ("suffix", "compress"),
    [
        (".gz", gzip.compress),
        (".bz2", bz2.compress),
        (".zst", lambda data: pa.Codec("zstd").compress(data).to_pybytes()),
    ],
)
def test_every_file_may_be_compressed_and_begin_with_a_byte_order_mark(folder, suffix, compress):
    """As the index builder reads them; two files of one name are refused."""
    for name, read in (
        ("queries.jsonl", folder.queries),
        ("qrels/dev.tsv", lambda: folder.judgments("dev")),
    ):
        path, before = folder.path / name, read()
        packed = path.with_name(path.name + suffix)
        packed.write_bytes(compress(b"\xef\xbb\xbf" + path.read_bytes()))
        with pytest.raises(ConfigError, match=f"holds {path.name}, {packed.name}; keep one"):
            read()
        path.unlink()
        assert read() == before


@pytest.mark.parametrize(
    "damage", [lambda data: data[:-12], lambda _: b"no gzip", lambda _: b"\x1f"]
)
def test_a_compressed_file_that_is_damaged_is_named(folder, damage):
    """Cut off, or never compressed at all."""
    path = folder.path / "corpus.jsonl.gz"
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(ConfigError, match=r"corpus\.jsonl\.gz: cannot be read to its end"):
        folder.products()


def test_broken_text_is_named_with_its_line(folder):
    """The second line, in which é is written as Latin-1."""
    (folder.path / "queries.jsonl").write_bytes(b'{"_id": "a", "text": "x"}\n{"\xe9": 1}\n')
    with pytest.raises(InputError, match=r"queries\.jsonl:2: not UTF-8 at byte 3"):
        folder.queries()
    (folder.path / "qrels" / "dev.tsv").write_bytes(b"query-id\tcorpus-id\tscore\n\xe9\tp\t1\n")
    with pytest.raises(InputError, match=r"dev\.tsv:2: not UTF-8 at byte 1"):
        folder.judgments("dev")


def test_a_query_id_that_stands_twice_is_refused(folder):
    """One of the two texts would be dropped without a word."""
    path = folder.path / "queries.jsonl"
    path.write_text(path.read_text() + '{"_id": "q1", "text": "other"}\n')
    with pytest.raises(InputError, match=r"queries\.jsonl:4: _id 'q1' names a query above"):
        folder.queries()


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


def test_scores_of_numpy_are_written_as_numbers(tmp_path):
    """In their own digits: the nearest 32-bit number to a tenth is not a tenth."""
    path = tmp_path / "run.txt"
    write_run({"q1": {"a": np.float64(0.5), "b": np.float32(0.1)}}, path, tag="ours")
    assert path.read_text() == "q1 Q0 a 1 0.5 ours\nq1 Q0 b 2 0.10000000149011612 ours\n"
    assert read_run(path)["q1"]["a"] == 0.5


def test_a_run_in_another_encoding_is_named(tmp_path):
    """With the byte that is no UTF-8."""
    path = tmp_path / "run.txt"
    path.write_bytes(b"q1 Q0 caf\xe9 1 0.5 ours\n")
    with pytest.raises(InputError, match=r"run\.txt: not UTF-8 at byte 10"):
        read_run(path)


def test_a_run_that_is_not_there_is_named(tmp_path):
    """No traceback for a mistyped path."""
    with pytest.raises(ConfigError, match="No such file"):
        read_run(tmp_path / "none.txt")
