"""What holds for any catalogue: nothing lost, nothing doubled, little held."""

from __future__ import annotations

import csv
import io
import json
import threading
import tracemalloc
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from index_builder.catalogue import read_catalogue
from index_builder.documents import Composer, Document, read_documents
from index_builder.encode import chunked
from index_builder.ids import SeenIds
from index_builder.rejects import Rejects
from index_builder.rows import Row, Rows
from index_builder.schema import BEIR
from index_builder.sender import _action
from index_builder.stages import one_ahead
from rerank_core.errors import InputError
from rerank_core.text import DEFAULT_RECIPE

# Carriage returns end no JSON or Parquet value, but Python's CSV writer leaves them unquoted.
TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\r"), max_size=20)
COLUMNS = frozenset({"_id", "title"})
RECORDS = st.lists(st.fixed_dictionaries({"_id": TEXT, "title": TEXT}), max_size=8)

# Time decides nothing: the machine may be busy.
patient = settings(deadline=None)
in_a_folder = settings(patient, suppress_health_check=[HealthCheck.function_scoped_fixture])


def document(number: int, size_bytes: int = 0) -> Document:
    return Document(str(number), {}, "", "", Row(number, {}, size_bytes))


def write_jsonl(path: Path, records: list[dict[str, str]]) -> None:
    lines = (json.dumps(record, ensure_ascii=False) for record in records)
    path.write_bytes("".join(f"{line}\n" for line in lines).encode())


def write_csv(path: Path, records: list[dict[str, str]]) -> None:
    text = io.StringIO()
    writer = csv.DictWriter(text, ["_id", "title"], quoting=csv.QUOTE_ALL)
    writer.writeheader()
    writer.writerows(records)
    path.write_bytes(text.getvalue().encode())


def write_parquet(path: Path, records: list[dict[str, str]]) -> None:
    schema = pa.schema({"_id": pa.string(), "title": pa.string()})
    pq.write_table(pa.Table.from_pylist(records, schema), path, row_group_size=500)


@pytest.mark.parametrize(
    ("name", "write"),
    [("a.jsonl", write_jsonl), ("a.csv", write_csv), ("a.parquet", write_parquet)],
)
@in_a_folder
@given(records=RECORDS)
def test_every_format_gives_back_what_was_written(
    tmp_path: Path, name: str, write, records: list[dict[str, str]]
) -> None:
    """Any text, in order, one row a record."""
    write(tmp_path / name, records)

    assert [dict(row.values) for row in read_catalogue(tmp_path / name, COLUMNS)] == records


@in_a_folder
@given(data=st.binary(max_size=300))
@pytest.mark.parametrize("name", ["a.jsonl", "a.csv"])
def test_any_bytes_end_in_rows_and_rejects(tmp_path: Path, name: str, data: bytes) -> None:
    """A text file is never too broken to be read to its end, once its header can be read."""
    header = b"_id,title\n" if name == "a.csv" else b""
    (tmp_path / name).write_bytes(header + data)

    lines = [item.line for item in read_catalogue(tmp_path / name, COLUMNS)]

    assert lines == sorted(set(lines))


@patient
@given(
    sizes=st.lists(st.integers(0, 50), max_size=40),
    most_documents=st.integers(1, 10),
    most_bytes=st.integers(1, 100),
)
def test_chunks_hold_every_document_once_within_their_bounds(
    sizes: list[int], most_documents: int, most_bytes: int
) -> None:
    """In order; only a document that is alone may pass the bound of bytes."""
    documents = [document(number, size) for number, size in enumerate(sizes)]

    chunks = list(chunked(documents, most_documents, most_bytes))

    assert [item for chunk in chunks for item in chunk] == documents
    for chunk in chunks:
        assert 1 <= len(chunk) <= most_documents
        assert len(chunk) == 1 or sum(item.row.size_bytes for item in chunk) <= most_bytes


@patient
@given(count=st.integers(0, 30), most_documents=st.integers(1, 5))
def test_no_more_is_read_than_two_chunks_and_a_document(count: int, most_documents: int) -> None:
    """Memory is bound by the chunk in work, the one ahead, and the document that ended it."""
    read = 0

    def documents() -> Iterator[Document]:
        nonlocal read
        for number in range(count):
            read += 1
            yield document(number)

    used = 0
    with ThreadPoolExecutor(1) as executor:
        for chunk in one_ahead(executor, chunked(documents(), most_documents)):
            used += len(chunk)
            assert read <= used + most_documents + 1
    assert used == count


@patient
@given(items=st.lists(st.integers() | st.none()))
def test_one_ahead_gives_the_same_items(items: list[int | None]) -> None:
    """None is an item like any other."""
    with ThreadPoolExecutor(1) as executor:
        assert list(one_ahead(executor, iter(items))) == items


def test_one_ahead_makes_the_next_item_while_this_one_is_used() -> None:
    """The second item begins before the first one's user is done."""
    begun = threading.Event()

    def items() -> Iterator[int]:
        yield 1
        begun.set()
        yield 2

    with ThreadPoolExecutor(1) as executor:
        ahead = one_ahead(executor, items())
        assert next(ahead) == 1
        assert begun.wait(timeout=60)
        assert list(ahead) == [2]


def test_one_ahead_raises_what_making_an_item_raises() -> None:
    """After the items before it."""

    def items() -> Iterator[int]:
        yield 1
        raise ValueError("broken off")

    with ThreadPoolExecutor(1) as executor:
        ahead = one_ahead(executor, items())
        assert next(ahead) == 1
        with pytest.raises(ValueError, match="broken off"):
            next(ahead)


@patient
@given(keys=st.lists(st.text("ab\x00", min_size=1, max_size=3), max_size=30))
def test_a_key_is_claimed_once_and_its_first_line_is_named(keys: list[str]) -> None:
    """Against a dictionary, which holds in memory what the file holds on disk."""
    first: dict[str, int] = {}
    with SeenIds() as seen:
        for line, key in enumerate(keys, start=1):
            if key in first:
                with pytest.raises(InputError, match=f"was on line {first[key]} already"):
                    seen.claim("_id", key, line)
            else:
                seen.claim("_id", key, line)
                first[key] = line


@patient
@given(
    fields=st.dictionaries(
        st.text(min_size=1), TEXT | st.floats(allow_nan=False, allow_infinity=False)
    ),
    numbers=st.lists(st.floats(width=32, allow_nan=False, allow_infinity=False), min_size=1),
)
def test_what_is_sent_is_the_document_to_the_last_bit(
    fields: dict[str, str | float], numbers: list[float]
) -> None:
    """The shorter notation of numbers gives the same float32 back; other fields are as they are."""
    fields.pop("rerank_text", None)
    fields.pop("vector", None)
    product = Document("a", fields, "", "oak", Row(1, {}))

    action, source = _action((product, np.array(numbers, np.float32)))

    assert action == {"index": {"_id": "a"}}
    assert "\n" not in source  # a bulk request ends lines by it
    sent = json.loads(source)
    np.testing.assert_array_equal(np.array(sent.pop("vector"), np.float32), np.float32(numbers))
    assert sent == {**fields, "rerank_text": "oak"}


def peak_of_reading(path: Path, rejects: Path) -> int:
    """Most bytes that Python held while a catalogue's documents went by."""
    composer = Composer(BEIR, DEFAULT_RECIPE, DEFAULT_RECIPE)
    tracemalloc.start()
    try:
        with Rejects(rejects) as sink:
            for _ in read_documents(read_catalogue(path, COLUMNS), composer, sink):
                pass
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    ("kind", "write"), [("jsonl", write_jsonl), ("csv", write_csv), ("parquet", write_parquet)]
)
def test_memory_does_not_grow_with_the_catalogue(tmp_path: Path, kind: str, write) -> None:
    """Of each further row, good or bad, less than a twentieth stays in memory."""
    title = "table " * 100
    peaks = []
    for count in (1000, 8000):
        keys = count - count // 8  # the last eighth are second rows of a key
        path = tmp_path / f"{count}.{kind}"
        write(path, [{"_id": str(at % keys), "title": f"{at} {title}"} for at in range(count)])
        peaks.append(peak_of_reading(path, tmp_path / "rejects"))
        assert (tmp_path / "rejects").read_text().count("\n") == count // 8

    assert peaks[1] - peaks[0] < 7000 * len(title) / 20


def test_rows_are_read_as_they_are_asked_for() -> None:
    """Closing the documents closes the rows below them."""
    closed = threading.Event()

    def rows() -> Rows:
        try:
            yield Row(1, {"_id": "a", "title": "oak"})
            yield Row(2, {"_id": "b", "title": "ash"})
        finally:
            closed.set()

    with Rejects(Path("never written")) as rejects:
        documents = read_documents(rows(), Composer(BEIR, DEFAULT_RECIPE, DEFAULT_RECIPE), rejects)
        assert next(documents).id == "a"
        documents.close()

    assert closed.is_set()
