"""What is read of a catalogue file, and what of a broken one."""

from __future__ import annotations

import bz2
import gzip
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from index_builder import csv_rows
from index_builder.catalogue import find_catalogue, read_catalogue
from index_builder.rows import MOST_ROW_BYTES, Reject, Row
from rerank_core.errors import ConfigError

JSONL = b'{"_id": "1", "title": "oak table"}\n{"_id": "2", "title": "caf\xc3\xa9 chair"}\n'
READ = [(1, {"_id": "1", "title": "oak table"}), (2, {"_id": "2", "title": "café chair"})]

COLUMNS = frozenset({"_id", "title", "category", "price", "x"})


def written(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


def rows_of(path: Path) -> list[tuple[int, object]]:
    """(line, values) of rows, (line, reason) of rejects."""
    return [
        (item.line, dict(item.values) if isinstance(item, Row) else item.reason)
        for item in read_catalogue(path, COLUMNS)
    ]


@pytest.mark.parametrize(
    ("suffix", "compress"),
    [
        ("", bytes),
        (".gz", gzip.compress),
        (".bz2", bz2.compress),
        (".zst", lambda data: pa.Codec("zstd").compress(data).to_pybytes()),
    ],
)
def test_jsonl_is_read_plain_and_compressed(tmp_path: Path, suffix: str, compress) -> None:
    """The same rows come out of a file however it is compressed."""
    path = written(tmp_path / f"shop.jsonl{suffix}", compress(JSONL))

    assert rows_of(path) == READ


def test_a_gzip_file_of_several_members_is_read_to_its_end(tmp_path: Path) -> None:
    """Files joined with cat are one catalogue."""
    first, second = JSONL.splitlines(keepends=True)
    path = written(tmp_path / "shop.jsonl.gz", gzip.compress(first) + gzip.compress(second))

    assert rows_of(path) == READ


@pytest.mark.parametrize("lost_bytes", [4, 40])
@pytest.mark.parametrize(("suffix", "compress"), [(".gz", gzip.compress), (".bz2", bz2.compress)])
def test_a_compressed_file_that_is_cut_off_is_an_error(
    tmp_path: Path, suffix: str, compress, lost_bytes: int
) -> None:
    """Half a download never passes for a whole catalogue."""
    path = written(tmp_path / f"shop.jsonl{suffix}", compress(JSONL)[:-lost_bytes])

    with pytest.raises(ConfigError, match=r"shop\.jsonl.*cannot be read to its end"):
        rows_of(path)


def test_a_file_whose_checksum_is_wrong_is_an_error(tmp_path: Path) -> None:
    """Gzip's own check holds: a flipped byte in its trailer is seen."""
    data = bytearray(gzip.compress(JSONL))
    data[-8] ^= 0xFF
    path = written(tmp_path / "shop.jsonl.gz", bytes(data))

    with pytest.raises(ConfigError, match="cannot be read to its end"):
        rows_of(path)


def test_bad_json_lines_name_their_line_and_reason(tmp_path: Path) -> None:
    """Each bad line is a reject of its own; the good ones around it are read."""
    lines = [
        b'{"_id": "1"}',
        b'{"_id": "2", "title": "cut o',
        b"",
        b'["a", "list"]',
        b'{"_id": "5", "price_cents": NaN}',
        b'{"_id": "6", "title": "broken \xff byte"}',
        b"[" * 100_000,
        b'{"_id": "8"}\r',
    ]
    path = written(tmp_path / "shop.jsonl", b"\n".join(lines))

    found = rows_of(path)

    assert found[0] == (1, {"_id": "1"})
    assert found[1][0] == 2
    assert str(found[1][1]).startswith("not JSON: Unterminated string")
    assert found[2] == (4, "not a JSON object")
    assert found[3] == (5, "not JSON: NaN is no number")
    assert found[4] == (6, "not UTF-8 at byte 31")
    assert found[5][0] == 7
    assert str(found[5][1]).startswith("not JSON: maximum recursion depth")
    assert found[6:] == [(8, {"_id": "8"})]


def test_a_reject_shows_what_was_read(tmp_path: Path) -> None:
    """The head of an unreadable line is kept, broken bytes in hexadecimal."""
    path = written(tmp_path / "shop.jsonl", b"caf\xe9 " + b"x" * 5000 + b"\n")

    [reject] = read_catalogue(path, COLUMNS)

    assert isinstance(reject, Reject)
    assert reject.row == "caf\\xe9 " + "x" * 995


def test_a_line_beyond_the_limit_is_rejected_and_passed_over(tmp_path: Path) -> None:
    """One endless line costs itself alone."""
    path = tmp_path / "shop.jsonl"
    with path.open("wb") as file:
        file.write(b'{"_id": "1", "title": "' + b"x" * (3 * MOST_ROW_BYTES) + b'"}\n')
        file.write(b'{"_id": "2"}\n')

    assert rows_of(path) == [
        (1, f"longer than {MOST_ROW_BYTES} bytes"),
        (2, {"_id": "2"}),
    ]


def test_a_byte_order_mark_is_no_part_of_the_first_row(tmp_path: Path) -> None:
    """What some editors put first is read past."""
    path = written(tmp_path / "shop.jsonl", b"\xef\xbb\xbf" + JSONL)

    assert rows_of(path) == READ


def test_csv_cells_are_strings_by_column(tmp_path: Path) -> None:
    """Quotes, separators and line ends inside a cell belong to it; the line is where it begins."""
    data = '\ufeffsku,title,price\n1,"table, ""oak""\n2 m",12.50\n\n2,chair,\n'
    path = written(tmp_path / "shop.csv.gz", gzip.compress(data.encode()))

    assert rows_of(path) == [
        (2, {"sku": "1", "title": 'table, "oak"\n2 m', "price": "12.50"}),
        (5, {"sku": "2", "title": "chair", "price": ""}),
    ]


def test_bad_csv_rows_name_their_line_and_reason(tmp_path: Path) -> None:
    """A record with too few or too many cells, broken quotes or bytes fails alone."""
    data = b'sku,title\n1,oak\n2\n3,elm,extra\n4,"ash" x\n5,b\xffech\n6,fir\n7,"oak"\n'
    path = written(tmp_path / "shop.csv", data)

    assert rows_of(path) == [
        (2, {"sku": "1", "title": "oak"}),
        (3, "1 cells, the header names 2 columns"),
        (4, "3 cells, the header names 2 columns"),
        (5, "not CSV: ',' expected after '\"'"),
        (6, "not UTF-8"),
        (7, {"sku": "6", "title": "fir"}),
        (8, {"sku": "7", "title": "oak"}),
    ]


@pytest.mark.parametrize(
    ("behind", "reason"),
    [
        ("", "unexpected end of data"),
        ('9,"ash, 2 m"\n', "',' expected after '\"'"),
        ('9,"two\nlines"\n', "',' expected after '\"'"),
    ],
)
def test_a_quote_that_is_never_closed_costs_its_own_line_alone(
    tmp_path: Path, behind: str, reason: str
) -> None:
    """In the middle of a file: whatever stands behind it is read as if it were not there."""
    text = f'sku,title\n6,fir\n7,"never closed\n8,elm\n{behind}'
    path = written(tmp_path / "shop.csv", text.encode())

    assert rows_of(path)[:3] == [
        (2, {"sku": "6", "title": "fir"}),
        (3, f"not CSV: {reason}"),
        (4, {"sku": "8", "title": "elm"}),
    ]
    assert rows_of(path)[3:] == rows_of(
        written(tmp_path / "whole.csv", f"sku,title\n\n\n\n{behind}".encode())
    )


def test_a_cell_may_have_a_thousand_lines_and_a_broken_quote_reads_no_further(
    tmp_path: Path,
) -> None:
    """The cell of 999 line ends is whole; with one more the quote counts as broken."""
    whole, longer = "oak\n" * 999, "oak,x\n" * 1000

    assert rows_of(written(tmp_path / "a.csv", f'sku,title\n1,"{whole}"\n'.encode())) == [
        (2, {"sku": "1", "title": whole})
    ]
    found = rows_of(written(tmp_path / "b.csv", f'sku,title\n1,"{longer}"\n'.encode()))
    assert found[0] == (
        2,
        f"not CSV: a quote is not closed within 1000 lines and {MOST_ROW_BYTES} bytes",
    )
    assert found[1] == (3, {"sku": "oak", "title": "x"})
    assert len(found) == 1001


def test_a_file_of_broken_quotes_alone_is_read_in_linear_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each line opens a quote that the next line closes and opens again: 300 readings at most."""
    monkeypatch.setattr("index_builder.csv_rows.MOST_RECORD_LINES", 300)
    taken = 0
    take = csv_rows._Lines.__next__

    def counting(source: csv_rows._Lines) -> str:
        nonlocal taken
        taken += 1
        return take(source)

    monkeypatch.setattr(csv_rows._Lines, "__next__", counting)
    path = written(tmp_path / "shop.csv", b"sku,title,size\n" + b'TV 5",,"LG\n' * 5000)

    found = rows_of(path)

    assert [line for line, _ in found] == list(range(2, 5002))
    assert taken <= 301 * 5001


def test_a_long_quoted_cell_is_read_whole(tmp_path: Path) -> None:
    """Beyond the 131,072 characters at which Python's reader stops where nobody says another."""
    text = "x" * 200_000 + "\n2,inside\n"
    path = written(tmp_path / "shop.csv", f'sku,title\n1,"{text}"\n3,elm\n'.encode())

    assert rows_of(path) == [
        (2, {"sku": "1", "title": text}),
        (5, {"sku": "3", "title": "elm"}),
    ]


def test_a_csv_line_beyond_the_limit_is_rejected_and_passed_over(tmp_path: Path) -> None:
    """One endless line costs itself alone."""
    path = tmp_path / "shop.csv"
    path.write_bytes(b"sku\n" + b"x" * (MOST_ROW_BYTES + 1) + b"\n2\n")

    assert rows_of(path) == [
        (2, f"not CSV: a line longer than {MOST_ROW_BYTES} bytes"),
        (3, {"sku": "2"}),
    ]


@pytest.mark.parametrize("header", [b"sku,sku\n", b"sku,,title\n", b'"sku\n', b"sk\xff,title\n"])
def test_a_csv_header_that_names_no_columns_is_an_error(tmp_path: Path, header: bytes) -> None:
    """Without names no row can be read, so the run must not begin."""
    path = written(tmp_path / "shop.csv", header)

    with pytest.raises(ConfigError, match=r"shop\.csv: the first line must name"):
        rows_of(path)


@pytest.mark.parametrize("name", ["shop.jsonl", "shop.csv", "shop.jsonl.gz"])
def test_an_empty_file_has_no_rows(tmp_path: Path, name: str) -> None:
    """Nothing in, nothing out, and no error here."""
    data = gzip.compress(b"") if name.endswith(".gz") else b""

    assert rows_of(written(tmp_path / name, data)) == []


def test_parquet_rows_keep_their_types(tmp_path: Path) -> None:
    """Lists, numbers and nulls come as such; rows count from 1 over all row groups."""
    table = pa.table(
        {"_id": ["a", "b", "c"], "category": [["x", "y"], [], None], "price": [1, 2, 3]}
    )
    pq.write_table(table, tmp_path / "shop.parquet", row_group_size=2)

    assert rows_of(tmp_path / "shop.parquet") == [
        (1, {"_id": "a", "category": ["x", "y"], "price": 1}),
        (2, {"_id": "b", "category": [], "price": 2}),
        (3, {"_id": "c", "category": None, "price": 3}),
    ]


def test_a_parquet_cell_that_is_no_utf8_rejects_its_row(tmp_path: Path) -> None:
    """A string column with broken bytes fails in the row that has them."""
    raw = pa.array([b"oak", b"b\xffech"], pa.binary())
    broken = pa.Array.from_buffers(pa.string(), 2, raw.buffers())
    table = pa.table({"_id": ["a", "b"], "title": broken})
    pq.write_table(table, tmp_path / "shop.parquet")

    assert rows_of(tmp_path / "shop.parquet") == [
        (1, {"_id": "a", "title": "oak"}),
        (2, "title: not UTF-8"),
    ]


def test_broken_cells_of_columns_that_nobody_reads_reject_nothing(tmp_path: Path) -> None:
    """They are not read at all; the columns are still told, so that a misspelt one is seen."""
    raw = pa.array([b"oak", b"b\xffech"], pa.binary())
    broken = pa.Array.from_buffers(pa.string(), 2, raw.buffers())
    table = pa.table({"_id": ["a", "b"], "note": broken, "_id.old": [1, 2]})
    pq.write_table(table, tmp_path / "shop.parquet")

    found = list(read_catalogue(tmp_path / "shop.parquet", COLUMNS))

    assert [item.values for item in found if isinstance(item, Row)] == [{"_id": "a"}, {"_id": "b"}]
    assert {item.unread for item in found if isinstance(item, Row)} == {("note", "_id.old")}


def test_parquet_rows_without_a_known_column_are_still_rows(tmp_path: Path) -> None:
    """Each lacks its key, which is said of each; they do not vanish."""
    pq.write_table(pa.table({"sku": ["a", "b"]}), tmp_path / "shop.parquet")

    assert rows_of(tmp_path / "shop.parquet") == [(1, {}), (2, {})]


def test_a_parquet_file_that_is_cut_off_is_an_error(tmp_path: Path) -> None:
    """Its end, which says what is in it, is missing."""
    path = tmp_path / "shop.parquet"
    pq.write_table(pa.table({"_id": ["a"]}), path)
    path.write_bytes(path.read_bytes()[:-10])

    with pytest.raises(ConfigError, match=r"shop\.parquet: cannot be read"):
        rows_of(path)


def test_a_beir_folder_stands_for_its_corpus(tmp_path: Path) -> None:
    """The folder's corpus is found plain and compressed; queries are not looked at."""
    written(tmp_path / "queries.jsonl", b"{}\n")
    corpus = written(tmp_path / "corpus.jsonl.gz", gzip.compress(JSONL))

    assert find_catalogue(tmp_path) == corpus


def test_a_folder_without_one_corpus_is_an_error(tmp_path: Path) -> None:
    """None and two are both named."""
    with pytest.raises(ConfigError, match=r"no corpus\.jsonl, plain or"):
        find_catalogue(tmp_path)
    written(tmp_path / "corpus.jsonl", JSONL)
    written(tmp_path / "corpus.jsonl.gz", gzip.compress(JSONL))
    with pytest.raises(ConfigError, match=r"holds corpus\.jsonl, corpus\.jsonl\.gz; keep"):
        find_catalogue(tmp_path)


@pytest.mark.parametrize("name", ["shop.xlsx", "shop", "shop.gz", "shop.parquet.gz"])
def test_a_name_without_a_known_format_is_an_error(tmp_path: Path, name: str) -> None:
    """The message says which names there are."""
    with pytest.raises(ConfigError, match=r"give \.jsonl or \.csv"):
        find_catalogue(written(tmp_path / name, b""))


def test_a_file_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    """Said before anything is built."""
    with pytest.raises(ConfigError, match=r"gone\.jsonl: no such file"):
        find_catalogue(tmp_path / "gone.jsonl")


def test_rows_know_about_what_they_take(tmp_path: Path) -> None:
    """Columns that are not indexed count too: they are held until the row is written."""
    jsonl = written(tmp_path / "a.jsonl", b'{"_id": "1", "x": "abc"}\n')
    comma_separated = written(tmp_path / "a.csv", b"_id,x\n1,abc\n")
    pq.write_table(pa.table({"x": ["y" * 100, "y" * 300]}), tmp_path / "a.parquet")

    def sizes(path: Path) -> list[int]:
        return [row.size_bytes for row in read_catalogue(path, COLUMNS) if isinstance(row, Row)]

    assert sizes(jsonl) == [25]
    assert sizes(comma_separated) == [4]
    first, second = sizes(tmp_path / "a.parquet")
    assert first == second
    assert 200 <= first <= 220  # the mean of the two, and their offsets
