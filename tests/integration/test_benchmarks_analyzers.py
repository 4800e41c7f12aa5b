"""`python -m benchmarks analyzers` and `fusion` of several folders, on a real cluster."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.analyzers.candidates import ANALYZERS, SHIPPED, candidates
from benchmarks.analyzers.result import AnalyzersResult
from benchmarks.analyzers.searching import run_of, study_index
from benchmarks.fusion.result import read_fusion
from rerank_core.cluster.connection import connect
from rerank_core.cluster.profile import Profile
from rerank_core.cluster.settings import ClusterSettings
from rerank_core.cluster.templates import load_templates, render
from rerank_core.errors import ConfigError
from rerank_core.records import read_json
from tests.integration.conftest import SmallModels

KINDS = ("drill", "hammer", "saw", "wrench")
SIZES = ("12 in", "18 V", "2 x 4", "750 W")


def shop(folder: Path, brand: str) -> Path:
    """A BEIR folder of 32 products; a query names a kind in the plural and a size, both count."""
    (folder / "qrels").mkdir(parents=True)
    products = [
        {"_id": f"p{at}", "title": f"{brand} {kind}, {size}", "brand": brand, "text": f"no. {at}"}
        for at, (kind, size) in enumerate((k, s) for _ in range(2) for k in KINDS for s in SIZES)
    ]
    queries, qrels = [], ["query-id\tcorpus-id\tscore"]
    for at, (kind, size) in enumerate((k, s) for k in KINDS for s in SIZES):
        queries.append({"_id": f"q{at}", "text": f"{kind}s {size.replace(' ', '')}"})
        for product in products:
            grade = 2 * (kind in product["title"]) + (size in product["title"])
            qrels.append(f"q{at}\t{product['_id']}\t{grade}")
    for name, rows in (("corpus", products), ("queries", queries)):
        text = "".join(json.dumps(row) + "\n" for row in rows)
        (folder / f"{name}.jsonl").write_text(text)
    (folder / "qrels" / "dev.tsv").write_text("\n".join(qrels) + "\n")
    return folder


@pytest.fixture(scope="module")
def shops(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("analyzers")
    return [shop(folder / "one", "Acme"), shop(folder / "two", "Zeta")]


def run(cluster: ClusterSettings, *words: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "benchmarks", *map(str, words)],
        env={**os.environ, "OPENSEARCH_URL": cluster.url, "HF_HUB_OFFLINE": "1"},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )


def test_every_candidate_is_measured_on_every_folder(
    cluster: ClusterSettings, shops: list[Path], tmp_path: Path
) -> None:
    """Names differ, so does what they find: a plural needs a stemmer, 12in the joined units.

    The index is gone afterwards.
    """
    done = run(cluster, "analyzers", *shops, "--out", tmp_path / "a.json")

    assert done.returncode == 0, done.stderr
    result = read_json(AnalyzersResult, tmp_path / "a.json", "a", ConfigError)
    assert [(one.name, one.queries, one.products) for one in result.sets] == [
        ("one", 16, 32),
        ("two", 16, 32),
    ]
    names = [candidate.name for candidate in candidates()]
    assert len(set(names)) == len(names)
    for one in result.sets:
        by_name = {item.name: item for item in one.candidates}
        assert [*by_name] == names
        assert by_name[SHIPPED].difference.mean == 0
        assert by_name["analyzer unstemmed"].difference.high < 0
        assert by_name["analyzer units"].difference.low > 0
    assert sum(result.folds.values()) == 25
    assert result.chosen == json.loads(done.stdout.splitlines()[-1])["chosen"]
    assert result.chosen in result.folds
    assert result.gain.low > 0
    with connect(cluster) as client:
        assert not client.indices.get(index="analyzers-*")


def test_what_is_compared_with_is_the_shipped_leg(cluster: ClusterSettings) -> None:
    """Product by product, score by score, though the index holds more beside."""
    products = {
        "a": {"title": "Cordless drills 18 V", "brand": "Acme", "text": "a drill for oak"},
        "b": {"title": "Oak table", "color": "oak", "category": ["tables", "oak"]},
        "c": {"title": "Drill bits", "brand": "Zeta", "price_cents": 900},
    }
    [template] = [one for one in load_templates() if one.name == "lexical"]
    shipped = candidates()[0]
    with connect(cluster) as client, study_index(client, products) as index:
        for query in ("drill", "acme drill oak", "oak tables 18 v", "nothing"):
            body = render(template, template.complete({"query": query, "size": 10}))
            hits = client.search(index=index, body=body)["hits"]["hits"]
            theirs = {hit["_id"]: hit["_score"] for hit in hits}
            assert run_of(client, index, shipped, {"q": query})["q"] == pytest.approx(theirs)
        for name in ANALYZERS:
            words = {"analyzer": f"study_{name}", "text": "Drills 12 in. 2 x 4"}
            tokens = client.indices.analyze(index=index, body=words)["tokens"]
            found = {token["token"] for token in tokens}
            expected = {"units": {"12in", "2x4"}, "trigrams": {"dri"}, "parts": {"12"}}
            assert expected.get(name, {"12"}) <= found


def test_fusion_gives_several_folders_one_setting(
    cluster: ClusterSettings, shops: list[Path], small_models: SmallModels, tmp_path: Path
) -> None:
    """The JSON has machine, commit and each set; the TOML is what a profile reads."""
    done = run(
        cluster,
        *("fusion", *shops, "--encoder", small_models.bi_encoder, "--depth", 20),
        *("--out", tmp_path / "w.toml", "--results", tmp_path / "f.json"),
    )

    assert done.returncode == 0, done.stderr
    result = read_fusion(tmp_path / "f.json")
    assert [(one.name, one.queries) for one in result.sets] == [("one", 16), ("two", 16)]
    assert (result.chosen.data, result.chosen.queries) == ("one, two", 32)
    assert result.machine.commit
    assert len(result.grid) == 18
    assert sum(result.folds.values()) == 25
    for one in result.sets:
        assert one.held_out.low <= one.held_out.mean <= one.held_out.high
    profile = Profile("products", weights_file=tmp_path / "w.toml")
    assert dict(profile.legs) == dict(result.chosen.weights)
    assert profile.fusion == result.chosen.method


@pytest.mark.parametrize(
    ("command", "words", "fault"),
    [
        ("fusion", ("{0}", "{0}"), "two have one name"),
        ("analyzers", ("{0}", "{0}"), "two have one name"),
        ("fusion", ("{0}", "{1}", "--alias", "a"), "--alias: 1 for 2 folders"),
        ("fusion", ("{0}", "--results", "/no/such/folder.json"), "in a folder that is there"),
    ],
)
def test_folders_that_cannot_be_told_apart_are_refused(
    cluster: ClusterSettings, shops: list[Path], command: str, words: tuple[str, ...], fault: str
) -> None:
    """Before anything is searched."""
    done = run(cluster, command, *(word.format(*shops) for word in words))
    assert done.returncode == 2
    assert fault in " ".join(done.stderr.split())
