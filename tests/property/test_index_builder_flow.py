"""What holds for any catalogue: nothing lost, nothing doubled, little held."""

from __future__ import annotations

import base64
import csv
import io
import json
import random
import threading
import tracemalloc
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from index_builder.catalogue import read_catalogue
from index_builder.content import ContentHash, same_text
from index_builder.documents import Composer, Document, read_documents
from index_builder.encode import chunked
from index_builder.ids import SeenIds
from index_builder.payload import index_payload
from index_builder.rejects import Rejects
from index_builder.rows import Row, Rows
from index_builder.schema import BEIR
from index_builder.sending import Batch, Item, Patience, Refusal, RetryBudget
from index_builder.sending.items import read_item
from index_builder.sending.queue import SendQueue
from index_builder.sending.window import Window
from rerank_core.errors import ClusterRefused, InputError
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


def item(number: int, size_bytes: int = 1) -> Item:
    return Item(b"x" * size_bytes, number, Batch(1, lambda: None))


@patient
@given(
    sizes=st.lists(st.integers(1, 50), max_size=40),
    most_items=st.integers(1, 10),
    most_bytes=st.integers(1, 100),
    put_off=st.sets(st.integers(0, 39)),
)
def test_requests_hold_every_item_once_within_their_bounds(
    sizes: list[int], most_items: int, most_bytes: int, put_off: set[int]
) -> None:
    """Those put off come once they are due, and first; only one alone may pass the bytes."""
    queue = SendQueue(most_items, most_bytes)
    items = [item(number, size) for number, size in enumerate(sizes)]
    queue.put([one for one in items if one.origin not in put_off])
    for one in items:
        if one.origin in put_off:
            queue.put_off(one, due_s=10.0)

    requests = []
    for now_s in (0.0, 20.0):
        while request := queue.take(now_s):
            requests.append(request)
            assert now_s or not put_off & {one.origin for one in request}

    assert sorted(one.origin for request in requests for one in request) == [*range(len(items))]
    for request in requests:
        assert len(request) <= most_items
        assert len(request) == 1 or sum(len(one.payload) for one in request) <= most_bytes
    assert len(queue) == 0
    assert queue.next_due_s() is None


@patient
@given(sizes=st.lists(st.integers(1, 30), min_size=2, max_size=20))
def test_halving_ends_at_single_items(sizes: list[int]) -> None:
    """However often a request is too large, each further one is at most half of it."""
    queue = SendQueue(500, 1 << 20)
    queue.put([item(number, size) for number, size in enumerate(sizes)])
    request = queue.take(0)
    while len(request) > 1:
        before = len(request)
        queue.halve(request)
        queue.put_back(request)
        request = queue.take(0)
        assert len(request) <= max(1, before // 2)
    assert request[0].origin == 0


@patient
@given(answers=st.lists(st.sampled_from(["good", "busy"]), max_size=200), most=st.integers(1, 16))
def test_the_window_stays_within_its_bounds(answers: list[str], most: int) -> None:
    """Between one and the limit, whatever the cluster answers."""
    window = Window(most)
    for moment, answer in enumerate(answers, start=1):
        if answer == "good":
            window.grow()
        else:
            window.cut(sent_at=moment - 0.5, now=moment)
        assert 1 <= window.size <= most


def test_the_window_by_hand() -> None:
    """From 2: two good answers make 2.9; a busy one halves it; its fellows do not halve again."""
    window = Window(8)
    for _ in range(20):
        window.grow()
    assert window.size == 6
    window.cut(sent_at=10, now=11)
    assert window.size == 3
    window.cut(sent_at=10.5, now=12)
    assert window.size == 3
    window.cut(sent_at=11.5, now=13)
    assert window.size == 1


@patient
@given(tries=st.integers(1, 2000), seed=st.integers())
def test_waits_double_and_end(tries: int, seed: int) -> None:
    """Never above the longest, and never above first * 2 ** (tries - 1)."""
    wait_s = Patience(0.25, 15, 300).wait_s(tries, random.Random(seed))

    assert 0 <= wait_s <= min(15, 0.25 * 2.0 ** min(tries - 1, 60))


def test_a_budget_of_retries_is_earned_by_successes() -> None:
    """A reserve of 10: 8 are spent, 5 come back, 7 more are there, and no eighth."""
    budget = RetryBudget(reserve=10)
    assert budget.spend(8)
    budget.earn(5)
    assert budget.spend(7)
    assert not budget.spend(1)
    assert budget.spent == 16


@pytest.mark.parametrize(
    ("answer", "outcome"),
    [
        ({"index": {"status": 201}}, True),
        ({"index": {"status": 429, "error": {"reason": "full"}}}, False),
        ({"index": {"status": 503}}, False),
        ({"delete": {"status": 404, "result": "not_found"}}, True),
    ],
)
def test_what_an_item_is_told(answer: dict[str, object], outcome: object) -> None:
    """Written, or ask again; what is deleted already is as good as deleted."""
    assert read_item(answer, "writing") is outcome


def test_what_is_the_items_own_fault_and_what_not() -> None:
    """400 is a dead letter with its cause; a blocked index ends the run."""
    error = {"reason": "failed to parse", "caused_by": {"reason": "no number"}}
    refusal = read_item({"index": {"status": 400, "error": error}}, "writing")
    assert isinstance(refusal, Refusal)
    assert refusal.reason == "failed to parse: no number"
    blocked = {"index": {"status": 403, "error": {"reason": "index write"}}}
    with pytest.raises(ClusterRefused, match="answers 403: index write"):
        read_item(blocked, "writing")


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
    fields.pop("content_hash", None)
    product = Document("a", fields, "", "oak", Row(1, {}))

    payload = index_payload(product, np.array(numbers, np.float32), "h")

    action, source, end = payload.split(b"\n")  # a bulk request ends lines by it
    assert end == b""
    assert json.loads(action) == {"index": {"_id": "a"}}
    sent = json.loads(source)
    np.testing.assert_array_equal(np.array(sent.pop("vector"), np.float32), np.float32(numbers))
    assert sent == {**fields, "rerank_text": "oak", "content_hash": "h"}
    in_base64 = index_payload(product, np.array(numbers, np.float32), "h", base64_vectors=True)
    text = json.loads(in_base64.split(b"\n")[1])["vector"]
    read = np.frombuffer(base64.b64decode(text), "<f4")
    np.testing.assert_array_equal(read, np.float32(numbers))


@patient
@given(title=TEXT, brand=TEXT, other=TEXT)
def test_a_hash_tells_text_from_the_rest(title: str, brand: str, other: str) -> None:
    """Equal documents have equal hashes; another price keeps the text's half, another text none."""
    content = ContentHash("model", "mapping")

    def of(text: str, fields: dict[str, str | float], hashes: ContentHash = content) -> str:
        return hashes.of(Document("a", fields, text, text, Row(1, {})))

    one = of(title, {"title": title, "price": 1})
    assert of(title, {"price": 1, "title": title}) == one
    assert of(title, {"title": title, "price": 2}) != one
    assert same_text(of(title, {"title": title, "price": 2}), one)
    assert same_text(of(other, {"title": title, "price": 1}), one) == (other == title)
    assert not same_text(of(title, {"title": title}, ContentHash("another", "mapping")), one)
    assert of(title, {"title": title, "price": 1}, ContentHash("model", "another")) != one


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
