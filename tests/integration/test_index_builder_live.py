"""Changes to the live index: updates by hash, replayed changes, versions back and away."""

from __future__ import annotations

import io
import itertools
import json
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from opensearchpy.exceptions import ConflictError
from rich.console import Console

from index_builder.apply import apply_changes
from index_builder.doctor import examine, graph_bytes
from index_builder.progress import Progress
from index_builder.push import push_templates
from index_builder.schema import BEIR, Field
from index_builder.update import UpdateReport, update
from index_builder.versions import list_versions, prune, rollback
from rerank_core.cluster.release import resolve_alias
from rerank_core.cluster.templates.folder import copy_shipped
from rerank_core.errors import ClusterError, ConfigError, ReleaseError
from tests.fault_proxy import Fault, FaultProxy, Request
from tests.index_builds import MakeShop, Shop, indexes, lenient, products, write_jsonl


def quietly() -> Progress:
    return Progress(Console(file=io.StringIO()))


def updated(shop: Shop, rows: list[dict[str, Any]], **options: Any) -> UpdateReport:
    write_jsonl(shop.file, rows)
    keep_missing = options.pop("keep_missing", False)
    plan = replace(shop.plan, **options)
    return update(plan, shop.client, shop.settings, quietly(), keep_missing=keep_missing)


def counts(report: UpdateReport) -> tuple[int, int, int, int]:
    return report.unchanged, report.rewritten, report.encoded, report.deleted


def test_an_update_writes_only_what_changed_and_equals_a_rebuild(make_shop: MakeShop) -> None:
    """Of 40: two with another price, one of another text, one new, one gone; 36 untouched."""
    shop = make_shop(products(40))
    shop.build()
    rows = [dict(row) for row in products(41)]
    rows[3]["price_cents"], rows[4]["price_cents"] = 1, None
    rows[5]["title"] = "round elm table"
    del rows[6]

    report = updated(shop, rows)

    assert counts(report) == (36, 2, 2, 1)
    in_place = shop.contents()
    assert resolve_alias(shop.client, shop.plan.alias)[1].updated_at is not None
    rebuilt = shop.build()
    assert shop.contents(rebuilt.index) == in_place
    assert "price_cents" not in in_place["p4"]


def test_an_unchanged_catalogue_costs_no_encoding_and_no_writing(
    make_shop: MakeShop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No text reaches the encoder, no document the cluster."""
    shop = make_shop(products(60))
    shop.build()

    def never(*_: object) -> None:
        pytest.fail("a text was encoded")

    monkeypatch.setattr("index_builder.update.encode", never)

    assert counts(updated(shop, products(60))) == (60, 0, 0, 0)


def test_half_a_feed_deletes_nothing(make_shop: MakeShop) -> None:
    """Nor does a row whose key cannot be read, for nobody knows which product it is."""
    shop = make_shop(products(20))
    shop.build()
    bounds = lenient(min_ratio_to_live=0.9)

    with pytest.raises(ReleaseError, match="11 of its 20 documents are not in the catalogue"):
        updated(shop, products(9), gates=bounds)
    assert len(shop.contents()) == 20
    report = updated(shop, [*products(15), {"title": "no key"}])
    assert (report.deleted, report.rejected) == (0, 1)
    report = updated(shop, [*products(15), {"_id": "p17", "price_cents": "cheap"}])
    assert report.deleted == 4  # and p17 stays as it was
    assert "p17" in shop.contents()
    assert updated(shop, products(10), keep_missing=True).deleted == 0


def test_an_update_by_other_models_or_another_mapping_is_refused(make_shop: MakeShop) -> None:
    """It would mix two in one index."""
    shop = make_shop(products(3))
    shop.build()
    wider = replace(BEIR, fields={**BEIR.fields, "size": Field("keyword")})

    with pytest.raises(ReleaseError, match=r"its mapping differ\(s\) .*so rebuild"):
        updated(shop, products(3), schema=wider)


def test_changes_beat_rows_and_later_lines_earlier_ones(make_shop: MakeShop) -> None:
    """Prices, a new text with its vector, a deletion, one that comes back, and a new product."""
    shop = make_shop(products(10))
    changes = shop.file.with_name("changes.jsonl")
    lines = [
        {"_id": "p1", "price_cents": 5},
        {"_id": "p1", "price_cents": 7},
        {"_id": "p2", "title": "round elm table"},
        {"_id": "p3", "_delete": True},
        {"_id": "p4", "_delete": True},
        {"_id": "p4", "title": "is back"},
        {"_id": "p5", "price_cents": None},
        {"_id": "new", "title": "fresh"},
        {"_id": "gone", "price_cents": 3},
        {"price_cents": 4},
    ]
    write_jsonl(changes, lines)

    report = shop.build(changes=changes)

    found = shop.contents()
    assert report.swapped
    assert found["p1"]["price_cents"] == 7
    assert found["p2"]["rerank_text"] == "round elm table"
    assert "p3" not in found
    assert found["p4"]["title"] == "is back"
    assert "price_cents" not in found["p4"].keys() | found["p5"].keys()
    assert found["new"]["title"] == "fresh"
    assert len(found) == 10
    rejects = [json.loads(line) for line in shop.plan.rejects.read_text().splitlines()]
    assert [reject["line"] for reject in rejects] == [10, 9]
    assert "no such product" in rejects[1]["reason"]
    rebuilt = [dict(row) for row in products(10)]
    rebuilt[2]["title"] = "round elm table"
    write_jsonl(shop.file, rebuilt[2:3])
    again = shop.build()
    texts = {"query": {"ids": {"values": ["p2"]}}, "_source": ["vector"]}
    [one, other] = (
        shop.client.search(index=index, body=texts)["hits"]["hits"][0]["_source"]["vector"]
        for index in (report.index, again.index)
    )
    assert one == pytest.approx(other, abs=1e-6)


def test_a_concurrent_writer_loses_nothing(make_shop: MakeShop) -> None:
    """It appends each change to the file, then writes it to the alias, all through two rebuilds.

    At the end the live index has the last price of every product that was written.
    """
    shop = make_shop(products(2500))
    shop.build()
    changes = shop.file.with_name("changes.jsonl")
    changes.touch()
    last: dict[str, int] = {}
    stop = threading.Event()
    failures: list[ClusterError] = []

    def put(key: str, price: int) -> bool:
        """As shops write: again where the builder has just written the same product.

        Until the next refresh `_update` may begin from the product as it was before that.
        """
        alias, body = shop.plan.alias, {"doc": {"price_cents": price}}
        try:
            shop.client.update(index=alias, id=key, body=body, params={"retry_on_conflict": 10})
        except ConflictError:
            shop.client.indices.refresh(index=alias)
            return False
        return True

    def write() -> None:
        with changes.open("a") as file:
            for price in itertools.count(10_000):
                if stop.is_set():
                    return
                key = f"p{price * 37 % 2500}"
                file.write(json.dumps({"_id": key, "price_cents": price}) + "\n")
                file.flush()
                while not put(key, price):
                    pass
                last[key] = price

    writer = threading.Thread(target=write)
    writer.start()
    try:
        for _ in range(2):
            assert shop.build(changes=changes).swapped
    finally:
        stop.set()
        writer.join()

    assert not failures
    assert len(last) > 10
    found = shop.contents()
    assert {key: found[key]["price_cents"] for key in last} == last


def test_changes_are_applied_to_the_live_index(make_shop: MakeShop) -> None:
    """By the same rules, new text encoded."""
    shop = make_shop(products(5))
    shop.build()
    changes = shop.file.with_name("changes.jsonl")
    write_jsonl(changes, [{"_id": "p1", "title": "elm"}, {"_id": "p2", "_delete": True}])

    report = apply_changes(
        replace(shop.plan, changes=changes), shop.client, shop.settings, quietly()
    )

    assert (report.applied, report.rejected) == (2, 0)
    assert shop.contents()["p1"]["rerank_text"] == "elm"
    assert "p2" not in shop.contents()


def test_searches_through_swaps_never_fail_and_never_mix(make_shop: MakeShop) -> None:
    """Three rebuilds, each with other titles, while somebody searches by the alias all the time."""
    shop = make_shop([{"_id": f"p{at}", "title": "version 0"} for at in range(30)])
    shop.build()
    stop = threading.Event()
    seen: set[frozenset[str]] = set()
    failures: list[Exception] = []

    def search() -> None:
        while not stop.is_set():
            try:
                answer = shop.client.search(index=shop.plan.alias, body={"size": 30})
            except Exception as error:  # noqa: BLE001  any failure is one too many
                failures.append(error)
                return
            seen.add(frozenset(hit["_source"]["title"] for hit in answer["hits"]["hits"]))

    searcher = threading.Thread(target=search)
    searcher.start()
    try:
        for version in (1, 2):
            rows = [{"_id": f"p{at}", "title": f"version {version}"} for at in range(30)]
            write_jsonl(shop.file, rows)
            assert shop.build().swapped
    finally:
        stop.set()
        searcher.join()

    assert not failures
    assert seen <= {frozenset({f"version {version}"}) for version in range(3)}


def test_versions_rollback_and_prune(make_shop: MakeShop) -> None:
    """Back to the one before with its templates, and what is live is never deleted."""
    shop = make_shop(products(5))
    built = [shop.build().index for _ in range(3)]
    client, alias = shop.client, shop.plan.alias
    client.indices.create(index=f"{alias}-20260101t000000z-0123abcd")

    listed = list_versions(client, alias)
    assert [version.index for version in listed[:3]] == built[::-1]
    assert [version.live for version in listed] == [True, False, False, False]
    assert listed[0].documents == 5
    assert listed[3].release is None
    template_id = listed[1].release.templates["lexical"]
    client.delete_script(id=template_id)

    version, before = rollback(client, alias, None, quietly())

    assert (version.index, before, shop.live) == (built[1], built[2], built[1])
    assert client.get_script(id=template_id)["found"]
    with pytest.raises(ConfigError, match="is what the alias"):
        rollback(client, alias, built[1], quietly())
    with pytest.raises(ConfigError, match=f"no index of {alias}; there is: {built[2]}"):
        rollback(client, alias, "other", quietly())
    rollback(client, alias, built[0], quietly())
    deleted = prune(client, alias, 1, quietly(), unfinished=True)
    assert shop.live == built[0]
    assert sorted(version.index for version in deleted) == sorted([built[1], listed[3].index])
    assert indexes(client, alias) == [built[0], built[2]]
    with pytest.raises(ReleaseError, match="no finished index older than"):
        rollback(client, alias, None, quietly())


def test_doctor_finds_what_was_planted(make_shop: MakeShop) -> None:
    """A template that is gone, settings for loading that stayed, a field that is not there."""
    shop = make_shop(products(5))
    index = shop.build().index
    schema = replace(BEIR, fields={**BEIR.fields, "size": Field("keyword")})
    before = examine(shop.client, shop.plan.alias, BEIR)
    assert not [finding for finding in before if finding.level == "fault"]

    shop.client.indices.put_settings(index=index, body={"index": {"refresh_interval": "-1"}})
    _, release = resolve_alias(shop.client, shop.plan.alias)
    shop.client.delete_script(id=release.templates["vector"])
    found = examine(shop.client, shop.plan.alias, schema)

    faults = " ".join(finding.detail for finding in found if finding.level == "fault")
    advice = " ".join(finding.detail for finding in found if finding.level == "advice")
    assert "refresh_interval is -1" in faults
    assert f"search template {release.templates['vector']} is gone" in faults
    assert "lacks fields of the schema, rebuild: size" in advice
    assert "has no version before to roll back to" in advice
    shop.build()  # puts the template back for whoever comes next


_BY_STEMS = """{"query": {"multi_match": {"query": "{{query}}", "fuzziness": "AUTO"}}}"""
_BY_STEMS_SCHEMA = {
    "description": "As an earlier version had it.",
    "properties": {"query": {"type": "string"}},
    "required": ["query"],
    "examples": [{"query": "oka"}],
}


def test_an_index_without_unstemmed_words_is_told_and_never_found_empty(
    make_shop: MakeShop, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """As one of an earlier version: its own template stays, doctor and push say what to do."""
    shop = make_shop(products(5))
    alias = shop.plan.alias
    templates = tmp_path / "templates"
    copy_shipped(templates)
    (templates / "zero-results.mustache").write_text(_BY_STEMS)
    (templates / "zero-results.json").write_text(json.dumps(_BY_STEMS_SCHEMA))
    with monkeypatch.context() as earlier:
        earlier.setattr("index_builder.mapping._counts_most", lambda _: "")
        index = shop.build(templates=templates).index
    before = resolve_alias(shop.client, alias)[1].templates["zero-results"]

    def advice() -> str:
        found = examine(shop.client, alias, BEIR)
        return " ".join(item.detail for item in found if item.level == "advice")

    assert "misspelt words are compared by their stems alone" in advice()
    pushed = push_templates(shop.client, alias, None)
    why = f"searches *.unstemmed, which index {index} does not have; rebuild it"
    assert pushed.fault == ""
    assert why in pushed.left_out["zero-results"]
    assert pushed.templates["zero-results"] == before
    named = push_templates(shop.client, alias, None, ["zero-results"])
    assert why in named.fault
    rebuilt = shop.build()
    assert rebuilt.swapped
    assert resolve_alias(shop.client, alias)[1].templates["zero-results"] != before
    assert "unstemmed" not in advice()


def test_the_memory_of_a_graph_by_hand() -> None:
    """A million vectors of 384 floats, 16 neighbours: 1.1 * (1,536 + 128) bytes each."""
    assert graph_bytes(1_000_000, 384, 16, 4) == 1_830_400_000


def test_a_lost_answer_to_a_change_is_sent_again(make_shop: MakeShop) -> None:
    """Writing a change twice is writing it once."""
    shop = make_shop(products(5))
    shop.build()
    changes = shop.file.with_name("changes.jsonl")
    write_jsonl(changes, [{"_id": "p1", "price_cents": 5}, {"_id": "p2", "_delete": True}])

    def choose(request: Request, number: int) -> Fault | None:
        return Fault(cut_answer=True) if request.is_bulk and number == 0 else None

    with FaultProxy(shop.settings.url, choose).running() as proxy:
        settings = replace(shop.settings, url=proxy.url)
        report = apply_changes(
            replace(shop.plan, changes=changes), shop.client, settings, quietly()
        )

    assert report.rejected == 0
    assert shop.contents()["p1"]["price_cents"] == 5
    assert len(shop.contents()) == 4
