"""Every gate finds the fault that was planted for it, and then the alias stays where it is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from index_builder.doctor import examine
from index_builder.gates.fields import FIELD_MEND
from index_builder.gates.recall import lower_bound
from index_builder.gates.templates import template_gate
from index_builder.push import push_templates
from index_builder.schema import BEIR, Field, Schema
from index_builder.trials import try_templates
from rerank_core.artifact import open_artifact
from rerank_core.cluster.release import GateRecord, resolve_alias
from rerank_core.cluster.templates import Template, load_templates, render
from rerank_core.cluster.vectors import VectorField
from rerank_core.engine import Engine, load_bi_encoder
from rerank_core.errors import ConfigError
from tests.index_builds import MakeShop, Shop, indexes, lenient, products, write_jsonl
from tests.tiny_models import make_bi_encoder


def fresh_index(shop: Shop) -> str:
    """The index that is being built: the newest."""
    return indexes(shop.client, shop.plan.alias)[-1]


def plant(shop: Shop, fault: Callable[[str], object], **changes: Any) -> GateRecord:
    """The one gate that fails when `fault` befell the loaded index; the alias has not moved."""
    live = shop.build().index
    report = shop.build(on_loaded=lambda: fault(fresh_index(shop)), **changes)
    assert not report.swapped
    assert shop.live == live
    assert "was not touched: failed" in report.lines()[-1]
    [failed] = [gate for gate in report.gates if gate.verdict == "failed"]
    assert f"{failed.name}: failed" in shop.said.getvalue()
    return failed


def test_figures_of_all_gates_are_kept_in_the_release(make_shop: MakeShop) -> None:
    """So that one can ask later why an index was let in."""
    shop = make_shop(products(300, texts=300))
    shop.build()

    report = shop.build()

    _, release = resolve_alias(shop.client, shop.plan.alias)
    assert release.gates == report.gates
    figures = {gate.name: (gate.verdict, gate.figure) for gate in release.gates}
    assert figures["count"] == ("passed", 300)
    assert figures["ratio to live"] == ("passed", 1.0)
    # All but hybrid, which this cluster does not run.
    assert figures["templates"] == ("passed", 9)
    assert figures["vectors"][1] == pytest.approx(1, abs=1e-4)
    assert set(figures) == {"count", "ratio to live", "vectors", "recall", "templates", "health"}
    assert release.engine.startswith("opensearch ")


def test_dropped_rows_fail_the_count(make_shop: MakeShop) -> None:
    """Three documents are gone after they were acknowledged."""
    shop = make_shop(products(50))

    def drop(index: str) -> None:
        for key in ("p1", "p2", "p3"):
            shop.client.delete(index=index, id=key)

    failed = plant(shop, drop)

    assert (failed.name, failed.figure, failed.bound) == ("count", 47, 50)


def test_half_a_feed_fails_the_ratio(make_shop: MakeShop) -> None:
    """49 of 100 products are below nine tenths; with the bound lowered on purpose they may pass."""
    shop = make_shop(products(100))
    live = shop.build().index
    write_jsonl(shop.file, products(49))

    report = shop.build(gates=lenient(min_ratio_to_live=0.9))

    [failed] = [gate for gate in report.gates if gate.verdict == "failed"]
    assert (failed.name, failed.figure, failed.bound) == ("ratio to live", 0.49, 0.9)
    assert shop.live == live
    assert shop.build(gates=lenient(min_ratio_to_live=0.4), resume=True).swapped


@pytest.mark.parametrize("kind", ["another encoder", "too long"])
def test_vectors_that_the_encoder_did_not_make_are_found(
    make_shop: MakeShop, tmp_path: Path, kind: str
) -> None:
    """Those of another model, and those that are not of unit length."""
    shop = make_shop(products(20, texts=20))
    folder = Path(shop.plan.encoder)
    if kind == "another encoder":
        folder = make_bi_encoder(tmp_path / "other", seed=9)
    encoder = load_bi_encoder(open_artifact(folder))

    def rewrite(index: str) -> None:
        stored = shop.contents(index)
        with Engine() as engine:
            vectors = engine.encode(encoder, [item["rerank_text"] for item in stored.values()])
        scale = 2 if kind == "too long" else 1
        for key, vector in zip(stored, vectors * scale, strict=True):
            body = {**stored[key], "vector": vector.tolist()}
            shop.client.index(index=index, id=key, body=body)

    failed = plant(shop, rewrite)

    assert failed.name == "vectors"
    wanted = "has length 2.0000, not 1" if kind == "too long" else "with a fresh encoding by bi"
    assert wanted in failed.detail


def test_a_graph_that_finds_too_little_fails_the_recall(make_shop: MakeShop) -> None:
    """A graph of two neighbours a node, searched as narrowly as it is asked for."""
    poor = replace(BEIR, vector=VectorField(m=2, ef_construction=2))
    shop = make_shop(products(1500, texts=1500))

    report = shop.build(schema=poor, gates=lenient(min_recall=0.95, depth=10))
    good = shop.build(gates=lenient(min_recall=0.95, depth=100))

    [failed] = [gate for gate in report.gates if gate.verdict == "failed"]
    assert failed.name == "recall"
    assert failed.figure is not None
    assert failed.figure < 0.95 == failed.bound
    assert "over 200 texts of products" in failed.detail
    assert good.swapped


def test_the_lower_bound_of_recall_by_hand() -> None:
    """1, 1, 1, .6: mean .9, deviation .2, error .1; 1.645 of it below the mean."""
    assert lower_bound([1, 1, 1, 0.6]) == pytest.approx(0.9 - 0.1645)
    assert lower_bound([1.0] * 200) == 1
    assert lower_bound([0.5]) == 0.5


def test_real_queries_are_taken_and_filled_up(make_shop: MakeShop) -> None:
    """A file of them, and products' texts where they are fewer than two hundred."""
    shop = make_shop(products(300, texts=300))
    queries = shop.file.with_name("asked.txt")
    queries.write_text("oak\nround table\noak\n\n")

    report = shop.build(gates=lenient(queries=queries))

    [recall] = [gate for gate in report.gates if gate.name == "recall"]
    assert "over 200 queries, 198 of them texts of products" in recall.detail


def test_a_template_that_does_not_run_fails(
    make_shop: MakeShop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stored, but what it renders is no search."""
    shop = make_shop(products(5))
    broken = Template("lexical", '{"query": {"no_such_query": "{{query}}" } }')

    def replaced(*_: object) -> tuple[Template, ...]:
        return (broken,)

    live = shop.build().index
    monkeypatch.setattr("index_builder.plan.load_templates", replaced)
    report = shop.build()

    [failed] = [gate for gate in report.gates if gate.verdict == "failed"]
    assert failed.name == "templates"
    assert "does not run" in failed.detail
    assert "no_such_query" in failed.detail
    assert shop.live == live


_LISTING = {"description": "d", "examples": [{"size": 3}], "required": ["size"]}
_LIKE_BY_BRAND = (
    '{"query": {"more_like_this": {"fields": ["brand"], "like": {{#toJson}}like{{/toJson}}}}}'
)
_LIKE = {"description": "d", "examples": [{"like": [{"_id": "x"}]}], "required": ["like"]}


@pytest.mark.parametrize(
    ("source", "schema"),
    [
        ('{"size": {{size}}, "query": {"term": {"brand.keyword": "nobody"}}}', _LISTING),
        (_LIKE_BY_BRAND, _LIKE),
    ],
    ids=["listing", "like"],
)
def test_a_template_that_always_finds_nothing_fails(
    make_shop: MakeShop, source: str, schema: dict[str, Any]
) -> None:
    """A listing without a condition, and what is like a product, by a field that is empty."""
    shop = make_shop(products(50))
    shop.build()
    kinds = {"size": {"type": "integer"}, "like": {"type": "array"}}
    declared = {name: kinds[name] for name in schema["required"]}
    template = Template("empty", source, {**schema, "properties": declared})
    drawn = shop.client.search(index=shop.live, body={"size": 5})["hits"]["hits"]

    gate, problems = template_gate(
        shop.client, shop.live, [template], drawn, stored=False, required=["empty"]
    )

    assert gate.verdict == "failed"
    assert problems["empty"] == gate.detail
    assert "finds none of 5 sampled products" in gate.detail


def test_a_judged_set_that_is_ranked_worse_fails(make_shop: MakeShop) -> None:
    """The product that was judged best has another title now: nDCG@10 falls from 1 to 0."""
    shop = make_shop(products(40, texts=40))
    folder = shop.file.parent
    write_jsonl(folder / "queries.jsonl", [{"_id": "q", "text": "red bicycle"}])
    (folder / "qrels").mkdir()
    (folder / "qrels" / "dev.tsv").write_text("query-id\tcorpus-id\tscore\nq\tbest\t3\n")
    rows = [*products(40, texts=40), {"_id": "best", "title": "red bicycle"}]
    write_jsonl(shop.file, rows)
    gates = lenient(judged=folder, depth=10)
    first = shop.build(gates=gates)
    assert shop.build(gates=gates).swapped
    live = shop.live

    write_jsonl(shop.file, rows[:-1])
    report = shop.build(gates=gates)

    [untold] = [gate for gate in first.gates if gate.name == "judged"]
    assert (untold.verdict, untold.detail) == ("not run", "there is no live index to compare with")
    [failed] = [gate for gate in report.gates if gate.verdict == "failed"]
    assert failed.name == "judged"
    assert failed.figure == 0
    assert failed.bound is not None
    assert failed.bound > 0.5
    assert shop.live == live


def test_a_copy_that_no_node_can_hold_fails_the_health(make_shop: MakeShop) -> None:
    """Somebody asks for a replica on the only node that has the primary: yellow, not green."""
    shop = make_shop(products(20))
    live = shop.build().index

    def ask_for_a_copy() -> None:
        shop.client.indices.put_settings(index=fresh_index(shop), body={"number_of_replicas": 1})

    report = shop.build(on_merge=ask_for_a_copy, gates=lenient(health_wait_s=0.1))

    [failed] = [gate for gate in report.gates if gate.verdict == "failed"]
    assert (failed.name, failed.figure) == ("health", 50)
    assert "yellow, 1 shards active after 0.1 s, wanted green" in failed.detail
    assert "the replica of shard 0: cannot allocate" in failed.detail
    assert not report.swapped
    assert shop.live == live


@pytest.mark.parametrize(
    "wrong",
    [
        {"min_recall": 1.5},
        {"min_ratio_to_live": -1},
        {"depth": 5},
        {"recall_k": 0},
        {"health_wait_s": -1},
    ],
)
def test_bounds_that_cannot_be_are_refused(wrong: dict[str, Any]) -> None:
    """Each by its name."""
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        lenient(**wrong)


def test_what_templates_offer_and_the_index_does_not_is_said(make_shop: MakeShop) -> None:
    """A shop without brands: its build, a trial, a push, and doctor name the field and the mend.

    The same filter finds nothing on the cluster, which does not say why.
    """
    shop = make_shop(products(30))
    fields = {"title": Field("text"), "price_cents": Field("number"), "color": Field("keyword")}
    report = shop.build(schema=Schema(fields))
    [gate] = [gate for gate in report.gates if gate.name == "templates"]
    line = f"index {shop.live} has no field brand.keyword, so these find and count nothing by it: "

    assert gate.verdict == "passed"
    assert f"{line}facets, filters (brand)" in gate.detail
    assert FIELD_MEND in gate.detail
    tried = {
        trial.template.partition("@")[0]: trial
        for trial in try_templates(shop.client, None, shop.plan.alias)
    }
    assert not any(trial.faults for trial in tried.values())
    assert f"{line}filters (brand)" in tried["filters"].lacking
    assert any("filters (brand)" in said for said in tried["filters"].lines())
    assert tried["lexical"].lacking == ()
    assert (
        f"{line}facets, filters (brand)"
        in push_templates(shop.client, shop.plan.alias, None).lines()
    )
    advice = [finding.detail for finding in examine(shop.client, shop.plan.alias, None)]
    assert f"{line}facets, filters (brand); {FIELD_MEND}" in advice

    listing = next(one for one in load_templates() if one.name == "filters")
    by_brand = listing.complete({"size": 5, "brand": {"any_of": ["Acme"]}})
    found = shop.client.search(index=shop.live, body=render(listing, by_brand))
    assert found["hits"]["hits"] == []


def test_a_template_that_counts_no_field_of_the_index_is_left_out(make_shop: MakeShop) -> None:
    """Facets of a shop that has titles alone: not stored as if it worked; asked for, refused."""
    shop = make_shop([{"_id": row["_id"], "title": row["title"]} for row in products(30)])
    report = shop.build(schema=Schema({"title": Field("text")}))
    [gate] = [gate for gate in report.gates if gate.name == "templates"]

    assert gate.verdict == "passed"
    assert "counts brand.keyword, category.keyword, color.keyword, price_cents and nothing" in (
        gate.detail
    )
    assert "facets" not in resolve_alias(shop.client, shop.plan.alias)[1].templates
    pushed = push_templates(shop.client, shop.plan.alias, None, ["facets"])
    assert FIELD_MEND in pushed.fault
