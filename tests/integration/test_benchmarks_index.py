"""`python -m benchmarks index` on a real cluster and with the real encoder."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from benchmarks.__main__ import app
from benchmarks.index.result import IndexResult
from rerank_core.cluster.settings import ClusterSettings
from rerank_core.errors import ConfigError
from rerank_core.records import read_json


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A BEIR folder of forty products and two queries."""
    folder = tmp_path_factory.mktemp("data") / "shop"
    folder.mkdir()
    rows = [{"_id": f"p{at}", "title": f"hammer of {at} pounds"} for at in range(40)]
    (folder / "corpus.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (folder / "queries.jsonl").write_text(
        '{"_id": "q1", "text": "hammer"}\n{"_id": "q2", "text": "saw"}\n'
    )
    return folder


def run(*words: object, url: str = "") -> Result:
    """The command in this process; its contenders are processes of their own."""
    environ = {"OPENSEARCH_URL": url, "HF_HUB_OFFLINE": "1"}
    return CliRunner().invoke(app, ["index", *map(str, words)], env=environ)


def test_ours_beside_the_usual_scripts_and_a_further_round(
    shop: Path, tmp_path: Path, cluster: ClusterSettings
) -> None:
    """Raw samples of all rounds, memory, a picture; vectors of both say nearly the same."""
    out, plot = tmp_path / "out.json", tmp_path / "out.svg"
    plan = [shop, "--products", 30, "--contender", "ours", "--contender", "parallel_bulk"]

    first = run(
        *plan, "--rounds", 1, "--memory-products", 90, "--out", out, "--plot", plot, url=cluster.url
    )
    assert first.exit_code == 0, first.stderr
    again = run(*plan, "--rounds", 0, "--add", "--out", out, url=cluster.url)
    assert again.exit_code == 0, again.stderr

    result = read_json(IndexResult, out, str(out), ConfigError)
    assert [one.name for one in result.samples] == ["ours", "parallel_bulk"]
    assert {one.documents for one in result.samples} == {30}
    assert [one.documents for one in result.memory] == [90]
    assert all(one.peak_bytes > 50 << 20 for one in (*result.samples, *result.memory))
    assert result.agreement is not None
    assert result.agreement.mean_cosine > 0.99
    [note] = result.notes
    assert note.startswith("40 of the 90 products for memory are real")
    assert plot.read_text().startswith("<?xml")
    said = json.loads(first.stdout.splitlines()[-1])
    assert said["documents_per_second"].keys() == {"ours", "parallel_bulk"}
    assert "round 1: parallel_bulk" in first.stderr


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--add",), "--add needs --out"),
        (("--contender", "logstash"), "--contender logstash: say one of ours, parallel_bulk"),
        (("--out", "/nowhere/out.json"), "a folder that is there"),
    ],
)
def test_what_must_be_mended_is_exit_code_2(
    shop: Path, words: tuple[str, ...], message: str
) -> None:
    """Before a cluster is started."""
    done = run(shop, *words)
    assert done.exit_code == 2
    assert message in done.stderr
