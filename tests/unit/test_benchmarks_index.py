"""The index benchmark's arithmetic, by hand."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from benchmarks.index.agreement import agree
from benchmarks.index.catalogue import write_catalogue
from benchmarks.index.command import lines, summary
from benchmarks.index.contender import Sample
from benchmarks.index.result import FORMAT, IndexResult, Plan
from benchmarks.machine import this_machine
from rerank_core.errors import ConfigError


def sample(name: str, seconds: float) -> Sample:
    return Sample(
        name=name,
        documents=1000,
        seconds=seconds,
        encode_s=seconds / 2,
        write_s=seconds / 4,
        merge_s=seconds,
        builder_cpu_s=8,
        cluster_cpu_s=2,
        peak_bytes=1 << 30,
    )


def result(*samples: Sample) -> IndexResult:
    return IndexResult(
        format=FORMAT,
        machine=replace(this_machine(), cores=2),
        cluster="opensearch 1",
        load_before=(0, 0, 0),
        load_after=(0, 0, 0),
        data="shop",
        products=1000,
        samples=samples,
        memory=(replace(sample("ours", 1), documents=5000),),
    )


def test_figures_are_medians_over_rounds_and_ratios_go_by_rounds() -> None:
    """Ours 10 and 5 s, the script 50 and 30: five and six times; 2 cores x 10 s by 10 of work."""
    found = result(
        sample("ours", 10), sample("script", 50), sample("script", 30), sample("ours", 5)
    )

    said = summary(found)

    assert said["documents_per_second"] == {"ours": 150.0, "script": 26.7}
    assert said["times_faster"] == {"script": 5.5}
    assert said["wall_by_processor_share"] == pytest.approx((2 + 1) / 2)
    assert said["peak_bytes"] == {"5000": 1 << 30}
    assert found.shares("ours") == (0.25, 0.125, 0.5)
    assert any("encode 25%, write 12%, merge 50%" in line for line in lines(found))


def test_rounds_are_added_only_to_those_of_the_same_plan_and_machine(tmp_path: Path) -> None:
    """Else medians would be of two things."""
    found = result(sample("ours", 10), sample("parallel_bulk", 50))
    same = Plan(tmp_path / "shop", 1000, 1, ("parallel_bulk", "ours"))

    found.check_same(same, "file")
    for other in (
        replace(same, products=999),
        replace(same, contenders=("ours",)),
        replace(same, data=tmp_path / "else"),
    ):
        with pytest.raises(ConfigError, match="file: is of another plan"):
            found.check_same(other, "file")
    elsewhere = replace(found, machine=replace(found.machine, processor="another"))
    with pytest.raises(ConfigError, match="of another machine"):
        elsewhere.check_same(same, "file")


def test_neighbours_are_compared_by_id_by_nearness_and_by_what_is_lost() -> None:
    """Eleven products on a quarter circle; ours swaps the tenth and the eleventh of the query."""
    angles = np.linspace(0, 1, 11)
    reference = np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)
    ours = reference[[*range(9), 10, 9]]
    query = np.array([[1, 0]], np.float32)

    found = agree(ours, reference, query, query)

    assert found.recall_at_10 == pytest.approx(0.9)
    assert found.near_recall_at_10 == pytest.approx(0.9)
    assert found.cosine_lost == pytest.approx((np.cos(0.9) - np.cos(1.0)) / 10, abs=1e-6)
    assert found.mean_cosine == pytest.approx((9 + 2 * np.cos(0.1)) / 11, abs=1e-6)
    assert found.least_cosine == pytest.approx(np.cos(0.1), abs=1e-6)
    assert found.queries == 1


def test_equal_products_count_as_found() -> None:
    """Twelve products in one place: whichever ten are found, nothing is lost."""
    same = np.tile(np.array([[1, 0]], np.float32), (12, 1))
    found = agree(same, same, same[:1], same[:1])
    assert (found.near_recall_at_10, found.cosine_lost) == (1, 0)


def test_the_catalogue_is_distinct_and_varied_only_where_that_is_asked_for(tmp_path: Path) -> None:
    """Three rows of two contents; six products of them have six titles and six keys."""
    data = tmp_path / "shop"
    data.mkdir()
    rows = [("a", "oak"), ("b", "elm"), ("c", "oak")]
    (data / "corpus.jsonl").write_text(
        "".join(json.dumps({"_id": key, "title": title}) + "\n" for key, title in rows)
    )
    (data / "queries.jsonl").write_text('{"_id": "q", "text": "table"}\n')
    path = tmp_path / "catalogue.jsonl"

    with pytest.raises(ConfigError, match="has 2 distinct products, 6 are asked for"):
        write_catalogue(data, 6, path)
    real = write_catalogue(data, 6, path, vary=True)

    assert real == 2
    written = [json.loads(line) for line in path.read_text().splitlines()]
    assert [(row["_id"], row["title"]) for row in written] == [
        ("a", "oak"),
        ("b", "elm"),
        ("a-2", "oak no. 2"),
        ("b-2", "elm no. 2"),
        ("a-3", "oak no. 3"),
        ("b-3", "elm no. 3"),
    ]
    assert json.loads(Path(f"{path}.queries").read_text()) == ["table"]
