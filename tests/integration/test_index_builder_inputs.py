"""What a build reads, and catalogues that are broken in every way."""

from __future__ import annotations

import gzip
import io
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from index_builder.inputs import Files, Stdin, find_input
from index_builder.metrics import write_metrics
from index_builder.schema import BEIR
from rerank_core.cluster.dialect import detect
from rerank_core.cluster.vectors import VectorField
from rerank_core.errors import ConfigError
from tests.index_builds import MakeShop, products, write_jsonl


def test_several_files_are_one_catalogue(make_shop: MakeShop) -> None:
    """By a glob and by name, plain and compressed; a reject names its file."""
    shop = make_shop([])
    folder = shop.file.parent
    write_jsonl(folder / "a.jsonl", products(3))
    (folder / "b.jsonl.gz").write_bytes(gzip.compress(b'{"_id": "x", "title": "elm"}\nnot json\n'))
    (folder / "c.csv").write_text('_id,title\ny,"a ""quoted"",\ntitle"\n')

    report = shop.build(catalogue=(str(folder / "[ab].jsonl*"), str(folder / "c.csv")))

    assert report.documents == 5
    assert shop.contents()["y"]["title"] == 'a "quoted",\ntitle'
    [reject] = map(json.loads, shop.plan.rejects.read_text().splitlines())
    assert (reject["file"], reject["line"]) == (str(folder / "b.jsonl.gz"), 2)
    assert reject["number"] == 5


def test_standard_input_is_read(make_shop: MakeShop, monkeypatch: pytest.MonkeyPatch) -> None:
    """Once: there is no checkpoint, and the last of a key's rows cannot be asked for."""
    shop = make_shop([])

    class Standard:
        buffer = io.BytesIO(b"_id,title\n1,oak\n2,elm\n")

    monkeypatch.setattr("index_builder.inputs.sys.stdin", Standard)

    report = shop.build(catalogue=("-",), stdin_format="csv")

    assert report.documents == 2
    assert not shop.plan.checkpoint.exists()
    with pytest.raises(ConfigError, match="cannot be read twice"):
        shop.build(catalogue=("-",), duplicates="last")


def test_an_index_is_encoded_anew(make_shop: MakeShop) -> None:
    """With other vectors settings, from a point in time; its texts and fields are the same."""
    shop = make_shop(products(1200))
    first = shop.build()
    schema = replace(BEIR, vector=VectorField(type="byte"))

    report = shop.build(catalogue=(f"index:{first.index}",), schema=schema)

    before, after = shop.contents(first.index), shop.contents(report.index)
    for item in (*before.values(), *after.values()):
        del item["content_hash"]  # of another mapping
    assert after == before
    assert len(after) == 1200


@pytest.mark.parametrize(
    ("kind", "part"),
    [("byte", {"encoder"}), ("on-disk", {"mode"}), ("float", {"method"})],
)
def test_vector_types_by_setting(make_shop: MakeShop, kind: str, part: set[str]) -> None:
    """What this cluster has is built and found; the mapping holds it."""
    shop = make_shop(products(60, texts=60))
    schema = replace(BEIR, vector=VectorField(type=kind, space="l2", m=8, ef_construction=40))

    report = shop.build(schema=schema)

    assert report.swapped
    mapping = shop.client.indices.get_mapping(index=report.index)[report.index]["mappings"]
    vector = mapping["properties"]["vector"]
    assert part <= vector.keys() | vector["method"]["parameters"].keys()
    assert vector["method"]["parameters"]["m"] == 8
    assert vector["method"]["space_type"] == "l2"


@pytest.mark.parametrize(("engine", "kind"), [("lucene", "fp16"), ("faiss", "byte")])
def test_what_the_engine_does_not_have_is_said(make_shop: MakeShop, engine: Any, kind: Any) -> None:
    """Before anything is made."""
    shop = make_shop(products(3))
    schema = replace(BEIR, vector=VectorField(engine=engine, type=kind))

    with pytest.raises(ConfigError, match=f"OpenSearch has no type {kind} with engine {engine}"):
        shop.build(schema=schema)


def test_of_a_keys_rows_the_last_good_one_counts(make_shop: MakeShop) -> None:
    """With ``last``; by default each further one is a reject."""
    rows = [
        {"_id": "a", "title": "first"},
        {"_id": "b", "title": "only"},
        {"_id": "a", "title": "second"},
        {"_id": "a", "title": "third", "price_cents": "cheap"},
    ]
    shop = make_shop(rows)

    refused = shop.build()
    assert (refused.documents, refused.rejected) == (2, 2)
    assert shop.contents()["a"]["title"] == "first"
    last = shop.build(duplicates="last")
    assert (last.documents, last.rejected) == (2, 1)
    assert shop.contents()["a"]["title"] == "second"


def test_a_catalogue_that_is_broken_in_every_way(make_shop: MakeShop) -> None:
    """Broken UTF-8, NUL bytes, a description of 5 MB, empty titles: each row for itself."""
    shop = make_shop([])
    long_text = "word " * 1_000_000
    lines = [
        b'{"_id": "utf", "title": "oak \xff"}',
        b'{"_id": "nul", "title": "oak \\u0000 table"}',
        json.dumps({"_id": "long", "title": "oak", "text": long_text}).encode(),
        b'{"_id": "empty", "title": "  "}',
        b'{"_id": "list", "title": ["oak", "elm"]}',
        b"\x00\x00\x00",
        b"",
        b'{"_id": "good", "title": "oak"}',
    ]
    shop.file.write_bytes(b"\n".join(lines))

    report = shop.build()

    assert report.swapped
    found = shop.contents()
    assert found.keys() == {"nul", "long", "list", "good"}
    assert len(found["long"]["text"]) == len(long_text.strip())
    assert (report.documents, report.rejected) == (4, 3)


def test_what_is_named_wrongly_is_said(make_shop: MakeShop) -> None:
    """Each with the name that is meant."""
    shop = make_shop(products(1))
    client, dialect = shop.client, detect(shop.client)

    with pytest.raises(ConfigError, match=r"nothing\*\.jsonl: no file has such a name"):
        find_input(["nothing*.jsonl"], client, dialect, "jsonl")
    with pytest.raises(ConfigError, match="- is read alone"):
        find_input(["-", str(shop.file)], client, dialect, "jsonl")
    found = find_input([str(shop.file), str(shop.file)], client, dialect, "jsonl")
    assert found == Files((shop.file,))
    assert not Stdin("jsonl").again


def test_the_metrics_file_tells_a_collector(make_shop: MakeShop, tmp_path: Path) -> None:
    """In Prometheus's text format, whole or not at all."""
    shop = make_shop(products(3))
    path = tmp_path / "build.prom"

    write_metrics(path, shop.build())

    lines = path.read_text().splitlines()
    alias = shop.plan.alias
    assert f'rerank_index_builder_documents{{alias="{alias}"}} 3' in lines
    assert f'rerank_index_builder_swapped{{alias="{alias}"}} 1' in lines
    assert f'rerank_index_builder_gate{{alias="{alias}",gate="count"}} 1' in lines
    with pytest.raises(ConfigError, match="metrics file"):
        write_metrics(tmp_path / "no" / "build.prom", shop.build())
