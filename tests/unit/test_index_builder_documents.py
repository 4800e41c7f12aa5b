"""Rows as documents, and the rows that become none."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterable
from datetime import date
from pathlib import Path

import pytest

from index_builder.documents import Composer, Document, read_documents
from index_builder.rejects import Rejects, check_rejects_path
from index_builder.rows import Reject, Row, Rows
from index_builder.schema import BEIR, Field, Schema
from rerank_core.errors import ConfigError
from rerank_core.text import ProductTextRecipe

TITLE_AND_BRAND = ProductTextRecipe(fields=("title", "brand"))
TITLE_ALONE = ProductTextRecipe(fields=("title",))


def rows(items: Iterable[Row | Reject]) -> Rows:
    yield from items


def read(
    tmp_path: Path, items: Iterable[Row | Reject], composer: Composer | None = None
) -> tuple[list[Document], list[dict[str, object]]]:
    """The documents, and what the rejects file holds."""
    composer = composer or Composer(BEIR, TITLE_AND_BRAND, TITLE_ALONE)
    path = tmp_path / "rejects.jsonl"
    with Rejects(path) as rejects:
        documents = list(read_documents(rows(items), composer, rejects))
    lines = path.read_text().splitlines() if path.exists() else []
    assert len(lines) == rejects.count
    found = [json.loads(line) for line in lines]
    for reject in found:
        assert reject.pop("number") > 0
    return documents, found


def test_a_row_becomes_fields_and_the_two_models_texts(tmp_path: Path) -> None:
    """Each model's text is composed by its own recipe; blank fields are left out."""
    row = Row(1, {"_id": "a", "title": "Oak  table", "brand": "Holz", "color": "", "text": None})

    [document], rejected = read(tmp_path, [row])

    assert document == Document(
        "a", {"title": "Oak  table", "brand": "Holz"}, "Oak table Holz", "Oak table", row, 1
    )
    assert rejected == []


def test_columns_are_renamed_by_the_schema(tmp_path: Path) -> None:
    """Recipes know fields, not the catalogue's columns."""
    schema = Schema({"title": Field("text", column="name")}, id="sku")
    composer = Composer(schema, TITLE_ALONE, TITLE_ALONE)

    [document], _ = read(tmp_path, [Row(1, {"sku": 7, "name": "oak", "title": "no"})], composer)

    assert (document.id, document.fields) == ("7", {"title": "oak"})
    assert list(composer.unknown_columns) == ["title"]


def test_fields_that_only_the_models_know_are_named() -> None:
    """Their part of the text would be missing without a word."""
    schema = Schema({"title": Field("text"), "size": Field("number")})

    assert Composer(schema, TITLE_AND_BRAND, TITLE_ALONE).missing_fields == ("brand",)


def test_unknown_columns_are_named_once_and_a_hundred_at_most(tmp_path: Path) -> None:
    """However many a hostile catalogue has."""
    composer = Composer(BEIR, TITLE_ALONE, TITLE_ALONE)
    wide = {f"column_{number}": 1 for number in range(150)}

    read(tmp_path, [Row(at, {"_id": str(at), "title": "x", **wide}) for at in (1, 2)], composer)

    assert list(composer.unknown_columns) == [f"column_{number}" for number in range(100)]


def test_columns_that_were_not_read_are_named_too(tmp_path: Path) -> None:
    """A misspelt column of a Parquet file is seen like one of any other format."""
    composer = Composer(BEIR, TITLE_ALONE, TITLE_ALONE)

    read(tmp_path, [Row(1, {"_id": "a", "title": "x"}, unread=("titel",))], composer)

    assert list(composer.unknown_columns) == ["titel"]


def test_every_bad_row_is_in_the_file_with_line_id_reason_and_row(tmp_path: Path) -> None:
    """Good rows around them go on; the first row of a key is the one that counts."""
    documents, rejected = read(
        tmp_path,
        [
            Row(1, {"_id": "a", "title": "oak"}),
            Reject(2, None, "not JSON: cut off", '{"_id'),
            Row(3, {"title": "no key"}),
            Row(4, {"_id": "b", "title": ["ash", 5, {}]}),
            Row(5, {"_id": "a", "title": "oak again"}),
            Row(6, {"_id": "c", "title": " ", "text": "the recipes read no text"}),
            Row(7, {"_id": "b", "title": "ash"}),
        ],
    )

    assert [(document.id, document.row.line) for document in documents] == [("a", 1), ("b", 7)]
    assert rejected == [
        {"line": 2, "id": None, "reason": "not JSON: cut off", "row": '{"_id'},
        {
            "line": 3,
            "id": None,
            "reason": "_id: missing or empty; a product needs a key",
            "row": {"title": "no key"},
        },
        {
            "line": 4,
            "id": "b",
            "reason": "title[2]: must be a string, not an object",
            "row": {"_id": "b", "title": ["ash", 5, {}]},
        },
        {
            "line": 5,
            "id": "a",
            "reason": "_id: 'a' was on line 1 already",
            "row": {"_id": "a", "title": "oak again"},
        },
        {
            "line": 6,
            "id": "c",
            "reason": "title, brand: all blank; there is nothing to search by",
            "row": {"_id": "c", "title": " ", "text": "the recipes read no text"},
        },
    ]


@pytest.mark.parametrize(
    ("row", "written"),
    [
        ({"made": date(2026, 1, 2)}, {"made": "2026-01-02"}),
        ({"raw": b"\xff"}, {"raw": "b'\\xff'"}),
        ({"price": float("nan")}, "{'price': nan}"),
        ({"title": "half \ud800"}, {"title": "half \ud800"}),
        ({(1, 2): "odd key"}, "{(1, 2): 'odd key'}"),
    ],
)
def test_a_reject_is_one_line_of_json_whatever_was_read(
    tmp_path: Path, row: object, written: object
) -> None:
    """Also what JSON has no form for: dates, bytes, NaN, half characters."""
    _, [line] = read(tmp_path, [Reject(1, None, "bad", row)])

    assert line == {"line": 1, "id": None, "reason": "bad", "row": written}


def test_no_reject_no_file(tmp_path: Path) -> None:
    """A clean run leaves nothing behind."""
    with Rejects(tmp_path / "rejects.jsonl"):
        pass

    assert list(tmp_path.iterdir()) == []


def test_a_run_deletes_the_file_of_an_earlier_one(tmp_path: Path) -> None:
    """The file speaks of one run; where that rejects nothing there is none."""
    path = tmp_path / "rejects.jsonl"
    path.write_text("of last week\n")
    with Rejects(path) as rejects:
        assert not path.exists()
        rejects.add(Reject(1, "a", "bad", {}))

    assert path.read_text() == '{"line": 1, "id": "a", "reason": "bad", "row": {}}\n'


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("shop.jsonl", "is the catalogue itself"),
        ("link.jsonl", "is the catalogue itself"),
        ("folder", "is a folder"),
        ("none/rejects.jsonl", "no such folder: .*none"),
        ("shop.jsonl/rejects.jsonl", "no such folder: .*shop.jsonl"),
    ],
)
def test_a_place_where_rejects_cannot_be_written_is_an_error(
    tmp_path: Path, name: str, problem: str
) -> None:
    """Known before a row is read, and the catalogue is never written over."""
    catalogue = tmp_path / "shop.jsonl"
    catalogue.write_text("{}\n")
    (tmp_path / "link.jsonl").symlink_to(catalogue)
    (tmp_path / "folder").mkdir()

    with pytest.raises(ConfigError, match=f"rejects file .*{problem}; name another"):
        check_rejects_path(tmp_path / name, catalogue)

    check_rejects_path(tmp_path / "rejects.jsonl", catalogue)
    check_rejects_path(Path("/dev/null"), catalogue)
    assert catalogue.read_text() == "{}\n"


def test_a_reject_is_on_disk_once_it_is_added(tmp_path: Path) -> None:
    """A kill afterwards loses nothing."""
    with Rejects(tmp_path / "rejects.jsonl") as rejects:
        rejects.add(Reject(1, "a", "bad", {}))

        assert rejects.path.read_text().endswith('"row": {}}\n')


def test_rejects_of_two_threads_do_not_mix(tmp_path: Path) -> None:
    """Reading and writing both reject, each in its own thread."""
    with Rejects(tmp_path / "rejects.jsonl") as rejects:

        def add(first: int) -> None:
            for line in range(first, first + 500):
                rejects.add(Reject(line, None, "bad " * 50, {}))

        threads = [threading.Thread(target=add, args=(first,)) for first in (0, 500)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    lines = [json.loads(line)["line"] for line in rejects.path.read_text().splitlines()]
    assert sorted(lines) == list(range(1000))
    assert rejects.count == 1000


def test_a_rejects_file_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    """Rows are never dropped in silence."""
    with (
        Rejects(tmp_path / "no such folder" / "rejects.jsonl") as rejects,
        pytest.raises(ConfigError, match=r"rejects file .*No such file or directory"),
    ):
        rejects.add(Reject(1, "a", "bad", {}))


def test_rejects_of_settled_rows_stay_when_a_build_goes_on(tmp_path: Path) -> None:
    """Rows 2 and 5 are settled; 9 comes again, and the last line was torn by the kill."""
    path = tmp_path / "rejects.jsonl"
    with Rejects(path) as rejects:
        for number in (2, 9, 5):
            error = {"type": "x"} if number == 5 else None
            rejects.add(Reject(number, None, "bad", {}, number=number, error=error))
    with path.open("a") as file:
        file.write('{"line": 10, "num')

    with Rejects(path, keep=5) as rejects:
        assert (rejects.count, rejects.refused) == (2, 1)
        rejects.add(Reject(9, None, "bad", {}, number=9))

    assert [json.loads(line)["number"] for line in path.read_text().splitlines()] == [2, 5, 9]
