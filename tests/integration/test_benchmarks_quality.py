"""`python -m benchmarks quality` as a program, on a real cluster with small real models."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from html.parser import HTMLParser

import pytest

from benchmarks.quality.result import QualityResult
from rerank_core.cluster.connection import connect
from rerank_core.errors import ConfigError
from rerank_core.measures import read_run
from rerank_core.records import read_json

KINDS = ("chair", "table", "lamp", "<script>alert(1)</script> rug")
COLORS = ("oak", "pine", "black", "white", "red")


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    """A BEIR folder of 100 products; a query names a kind and a colour, and both count."""
    folder = tmp_path_factory.mktemp("quality") / "shop"
    (folder / "qrels").mkdir(parents=True)
    products = [
        {"_id": f"p{number}", "title": f"{color} {kind} {number}", "brand": f"b{number % 3}"}
        for number, (color, kind) in enumerate(
            (color, kind) for _ in range(5) for color in COLORS for kind in KINDS
        )
    ]
    queries, qrels = [], ["query-id\tcorpus-id\tscore"]
    for number, (color, kind) in enumerate((c, k) for c in COLORS for k in KINDS):
        queries.append({"_id": f"q{number}", "text": f"{color} {kind}"})
        for product in products[:60]:
            grade = 2 * (kind in product["title"]) + (color in product["title"])
            qrels.append(f"q{number}\t{product['_id']}\t{grade}")
    for name, rows in (("corpus", products), ("queries", queries)):
        text = "".join(json.dumps(row) + "\n" for row in rows)
        (folder / f"{name}.jsonl").write_text(text)
    (folder / "qrels" / "dev.tsv").write_text("\n".join(qrels) + "\n")
    return folder


def _run(cluster, *words):
    kept = {name: value for name, value in os.environ.items() if name != "RERANK_DATA"}
    environ = kept | {"OPENSEARCH_URL": cluster.url, "HF_HUB_OFFLINE": "1"}
    command = [sys.executable, "-m", "benchmarks", "quality", *map(str, words)]
    return subprocess.run(
        command, env=environ, capture_output=True, text=True, timeout=240, check=False
    )


class _Page(HTMLParser):
    def __init__(self):
        super().__init__()
        self.tags, self.links = [], []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.links += [value for name, value in attrs if name in ("src", "href")]


def test_a_folder_is_measured_end_to_end(cluster, shop, small_models, tmp_path):
    """A table, one line of JSON last, every figure in a file, TREC runs, one page by itself.

    The index is gone afterwards, and no text of the data is in the result.
    """
    out, html, runs = tmp_path / "q.json", tmp_path / "q.html", tmp_path / "runs"
    models = ["--encoder", small_models.bi_encoder, "--reranker", small_models.cross_encoder]
    models += ["--rerank-depth", 3, "--blend", 0.4]
    done = _run(cluster, shop, *models, "--out", out, "--html", html, "--runs", runs)
    assert done.returncode == 0, done.stderr
    summary = json.loads(done.stdout.splitlines()[-1])
    result = read_json(QualityResult, out, "out", ConfigError)
    assert (result.about.queries, result.about.products) == (20, 100)
    assert len(result.systems) == 6
    assert len(result.comparisons) == 10
    assert [one.depth for one in result.sweep if one.leg == "hybrid"] == [10, 20, 50, 100, 200]
    assert (result.about.rerank_depth, result.about.blend) == (3, 0.4)
    # What is below the depth of the rerank is as it was found.
    found, after = (read_run(runs / f"hybrid{which}.run")["q0"] for which in ("", "-reranked"))
    orders = [sorted(run, key=lambda key, run=run: -run[key]) for run in (found, after)]
    assert orders[0][3:] == orders[1][3:]
    assert sorted(orders[0][:3]) == sorted(orders[1][:3])
    lexical = result.system("lexical")
    assert summary["lexical"]["nDCG@10"] == round(lexical.means["nDCG@10"].mean, 4)
    # Every product of the kind or the colour is found, and 60 of the 100 were judged.
    assert lexical.means["recall@depth"].mean == 1.0
    assert 0 < lexical.means["Judged@10"].mean <= 1
    for system in result.systems:
        assert system.means["nDCG@10"].mean <= system.means["nDCG@10 condensed"].mean + 1e-9
    assert "oak" not in out.read_text()
    for system in ("lexical", "hybrid-reranked", "logits"):
        assert set(read_run(runs / f"{system}.run")) == {f"q{number}" for number in range(20)}
    page = _Page()
    page.feed(html.read_text())
    assert page.tags.count("svg") == 2
    assert "script" not in page.tags
    assert [link for link in page.links if not link.startswith("#")] == []
    with connect(cluster) as client:
        assert client.indices.get(index="quality-*") == {}


def test_what_cannot_be_measured_is_named_before_anything_is_built(cluster, shop, tmp_path):
    """Exit code 2 and one line: no judgments, no such file to write."""
    missing = _run(cluster, shop, "--split", "test")
    assert missing.returncode == 2
    assert "qrels/test.tsv" in missing.stderr
    unwritable = _run(cluster, shop, "--html", tmp_path / "none" / "q.html")
    assert unwritable.returncode == 2
    assert "give a file name" in unwritable.stderr
