"""The walk-through on real parts: a cluster, an index, a sidecar, small models."""

import json
import math
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from demo.catalogue import write_catalogue
from demo.collection import read_collection
from demo.protocols import FirstStage, compare_funnel, compare_judged_lists, search_all
from demo.stack import Models, advice, build_index, running_sidecar
from demo.walkthrough import alias_of
from rerank_client import RerankClient
from rerank_core.cluster.connection import connect
from tests.tiny_models import make_bi_encoder, make_cross_encoder

_REPOSITORY = Path(__file__).parents[2]
_QUERIES = 10
_KEEPER_S = 30.0
"""Far more than a keeper takes to see that it is alone and to end what it keeps."""


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    return Models(
        reranker=str(make_cross_encoder(folder / "cross")),
        encoder=str(make_bi_encoder(folder / "bi")),
    )


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    """A made-up catalogue in a folder whose name, and so whose alias, no other run has."""
    folder = tmp_path_factory.mktemp("shop") / f"shop-{os.getpid()}"
    write_catalogue(folder, products=300, queries=_QUERIES, seed=11)
    return folder


@pytest.fixture
def alias(shop, cluster):
    """Its alias; whatever index the test puts behind it is deleted."""
    name = alias_of(shop)
    yield name
    with connect(cluster) as client:
        found = client.indices.get_alias(index=f"{name}-*", ignore=[404])
        for index in found:
            # Only what this very alias stood for: the cluster may be somebody's own.
            if index.startswith(f"{name}-"):
                client.indices.delete(index=index)


def _ndcg(order, grades):
    """By the definition, gain = grade, since the scale begins at 0."""
    gains = [grades.get(product, 0) for product in order][:10]
    ideal = sorted(grades.values(), reverse=True)[:10]

    def dcg(values):
        return sum(value / math.log2(place + 1) for place, value in enumerate(values, start=1))

    return dcg(gains) / dcg(ideal)


def _on_unit(values):
    return [(value - min(values)) / (max(values) - min(values)) for value in values]


def _blended(hits):
    """By the definition: of the first 20 a weighted sum of both scores, the others as they were."""
    settings = advice()
    share, head = settings["blend"], hits[: settings["rerank_depth"]]
    assert all((hit.rerank is not None) == (hit in head) for hit in hits)
    first = _on_unit([hit.first_stage_score for hit in head])
    second = _on_unit([hit.rerank.logit for hit in head])
    scores = {
        hit.id: share * one + (1 - share) * two
        for hit, one, two in zip(head, first, second, strict=True)
    }
    return [*sorted(scores, key=lambda key: -scores[key]), *(hit.id for hit in hits[len(head) :])]


def test_both_protocols_measure_what_they_say(models, shop, alias, cluster, tmp_path):
    """Before and after of each query, held against orders taken from the answers themselves."""
    collection = read_collection(shop, "dev")
    build_index(shop, alias, cluster, models, tmp_path / "rejects.jsonl")
    ticks = []
    with (
        running_sidecar(alias, 50, cluster, models, lambda _: None) as target,
        RerankClient(target, timeout_s=60) as client,
        connect(cluster) as connection,
    ):
        results = search_all(client, collection, 50, lambda: ticks.append(1))
        funnel = compare_funnel(collection, results)
        first_stage = FirstStage(client, connection, alias)
        lists = compare_judged_lists(client, first_stage, collection, lambda: ticks.append(1))
        orders = {
            query: first_stage.order(text, sorted(collection.judgments[query]))
            for query, text in collection.queries.items()
        }

    assert len(ticks) == 2 * _QUERIES
    for query, result in results.items():
        grades = collection.judgments[query]
        assert 10 <= len(result.hits) <= 50
        by_first_stage = sorted(result.hits, key=lambda hit: hit.first_stage_rank)
        blended = _blended(by_first_stage)
        before, after = funnel.before.values["nDCG@10"], funnel.after.values["nDCG@10"]
        # Gains are rounded to whole percent, so the third digit may differ.
        expected = _ndcg([hit.id for hit in by_first_stage], grades)
        assert before[query] == pytest.approx(expected, abs=0.01)
        assert after[query] == pytest.approx(_ndcg(blended, grades), abs=0.01)

        assert sorted(orders[query]) == sorted(grades)
        expected = _ndcg(orders[query], grades)
        assert lists.before.values["nDCG@10"][query] == pytest.approx(expected, abs=0.01)
    assert lists.after.values["nDCG@10"] != lists.before.values["nDCG@10"]
    # The first stage is the real one: on its own words it is far better than chance.
    assert lists.before.mean("nDCG@10").mean > 0.6


def test_the_command_shows_orders_times_and_quality(models, shop, alias, cluster, tmp_path):
    """As `make demo DATA=FOLDER` runs it; all on stdout, nothing left running."""
    done = subprocess.run(
        _command(shop, models),
        cwd=tmp_path,
        env=_environment(cluster, tmp_path),
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    queries = [
        json.loads(line)["text"] for line in (shop / "queries.jsonl").read_text().splitlines()
    ]
    assert [query for query in queries if f"“{query}”" in done.stdout] == queries[::2]
    assert (
        "legs: lexical 0.7, vector 0.3, by minmax; the first 20 are reranked, 0.4 of" in done.stdout
    )
    for stage in ("embed", "retrieve", "score"):
        assert re.search(rf"median of 10 searches.*{stage} \d+\.\d ms", done.stdout), stage
    for protocol in ("judged list", "funnel"):
        assert re.search(rf"{protocol} +│ +10 │ +0\.\d{{4}} │ +0\.\d{{4}} │", done.stdout), protocol
    stays = rf"index {alias}-[\w-]+ and its alias {alias} stay on {cluster.url}"
    assert re.search(stays, done.stdout)
    assert _sidecars(tmp_path) == []


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)], ids=["Ctrl-C", "SIGTERM"]
)
def test_what_was_started_ends_with_it(models, shop, alias, cluster, tmp_path, number, code):
    """Also when it is told to stop amid its work.

    By the command itself or, where the word comes as the sidecar is being started and nobody holds
    it yet, by the keeper, a moment after the command is gone.
    """
    with subprocess.Popen(
        _command(shop, models),
        cwd=tmp_path,
        env=_environment(cluster, tmp_path),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as running:
        while not _sidecars(tmp_path):
            assert running.poll() is None, running.stdout.read()
            time.sleep(0.02)
        running.send_signal(number)
        output, _ = running.communicate()

    assert running.returncode == code, output
    assert "Traceback" not in output
    end = time.monotonic() + _KEEPER_S
    while (left := _sidecars(tmp_path)) and time.monotonic() < end:
        time.sleep(0.05)
    assert left == []


def _command(shop, models):
    flags = ["--data", str(shop), "--reranker", models.reranker, "--encoder", models.encoder]
    return [sys.executable, "-m", "demo", "run", *flags]


def _environment(cluster, temporary):
    return {
        **os.environ,
        "OPENSEARCH_URL": cluster.url,
        "OPENSEARCH_USER": cluster.user or "",
        "OPENSEARCH_PASSWORD": cluster.password or "",
        "OPENSEARCH_CA": str(cluster.ca_path or ""),
        "PYTHONPATH": str(_REPOSITORY),
        "TMPDIR": str(temporary),
    }


def _sidecars(folder):
    """Processes whose settings lie in `folder`."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            words = (process / "cmdline").read_bytes()
        except OSError:
            continue  # ended while we looked
        if f"{folder}/rerank-demo-".encode() in words:
            found.append(words.decode("utf-8", "replace"))
    return found
