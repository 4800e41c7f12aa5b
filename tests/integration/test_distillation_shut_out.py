"""What is nearly a dev query is in nothing that is learned from: planted, and looked for."""

import io
import json

import pyarrow.parquet as pq
import pytest
from rich.console import Console

from demo.catalogue import write_catalogue
from distillation.pipeline import pool as pools
from distillation.pipeline.recipe import read_recipe
from distillation.pipeline.run import Place, pool_stage, run
from distillation.pipeline.split import Material
from distillation.pool.shutting import normalised, shut_out
from rerank_core import records
from rerank_core.measures import BeirFolder
from tests.tiny_shop import TEXT

pytestmark = pytest.mark.timeout(600)
RECIPE = f"""
name = "planted"
[split]
unlabelled = "unlabelled.txt"
[[split.sources]]
folder = "shop"
floor = 0.0
top = 3.0
train = "dev"
dev = ""
held_out = 0.5
[[teacher.members]]
kind = "cosine"
{TEXT}
[pool]
queries = 40
bm25 = 0
[[pool.mine]]
queries = "unlabelled"
catalogues = ["shop"]
[[pool.mine]]
queries = "shop"
catalogues = ["shop"]
judged = true
[labels]
pairs = 100
[student]
layers = 1
{TEXT}
fit = {{steps = 4, loss = "margin-mse", learning_rate = 4e-4, head_learning_rate = 2e-3}}
"""
_SHOW = Console(file=io.StringIO())


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    """A shop each of whose judged queries has a twin: one unlabelled, one judged.

    The same words in another order; by hash some of them are dev's, and their twins are not.
    """
    folder = tmp_path_factory.mktemp("planted")
    data = folder / "data" / "shop"
    write_catalogue(data, products=150, queries=60, seed=3)
    texts, judged = BeirFolder(data).queries(), BeirFolder(data).judgments("dev")
    twins = {f"{name}-twin": " ".join(reversed(texts[name].split())) for name in judged}
    (folder / "data" / "unlabelled.txt").write_text("\n".join(twins.values()) + "\nred chair\n")
    rows = "".join(json.dumps({"_id": name, "text": text}) + "\n" for name, text in twins.items())
    with (data / "queries.jsonl").open("a") as file:
        file.write(rows)
    with (data / "qrels" / "dev.tsv").open("a") as file:
        for name, grades in judged.items():
            for product, grade in grades.items():
                file.write(f"{name}-twin\t{product}\t{grade:g}\n")
    (folder / "recipe.toml").write_text(RECIPE)
    return folder


def _place(shop, out="out"):
    return Place(shop / "data", shop / out, None, shop)


def _split(shop, *changes):
    return run(read_recipe(shop / "recipe.toml", changes), _place(shop), _SHOW, until="split")


def _dev(material):
    return [material.queries[q] for r in ("select", "report") for q in material.judgments(r)]


def test_planted_twins_of_dev_queries_are_in_no_pool(shop, monkeypatch):
    """Held against the judgments; with the barrier taken away they are in it."""
    recipe = read_recipe(shop / "recipe.toml")
    found = {}
    for name in ("out", "open"):
        done = run(recipe, _place(shop, name), _SHOW, until="split")
        material = Material(done["split"], shop / "data")
        if name == "open":
            monkeypatch.setattr(pools, "shut_out", lambda *_, **__: {})
        stage = pool_stage(recipe, _place(shop, name), material, done, _SHOW)
        rows = pq.read_table(stage.folder / "pool.parquet")["query"].to_pylist()
        mined = [material.queries[query] for query in set(rows)]
        found[name] = stage.facts["shut_out"], len(shut_out(mined, _dev(material)))
    assert found["out"][0] > 10
    assert found["out"][1] == 0
    assert found["open"][1] > 5


def test_judged_queries_that_are_like_dev_queries_teach_nothing(shop):
    """Their twins are dev's; how many they were is in the stage's facts."""
    split = _split(shop)["split"]
    material = Material(split, shop / "data")
    human = [material.queries[query] for query in material.judgments("human")]
    assert len(human) > 5
    assert shut_out(human, _dev(material)) == {}
    assert split.facts["human_shut_out"] > 5
    mined = {normalised(material.queries[q]) for ids in material.unlabelled.values() for q in ids}
    assert mined


def test_a_study_that_was_begun_with_them_goes_on(shop):
    """By a setting, which leaves the stage its old name: it is not in what is hashed."""
    kept = _split(shop, "split.keep_near_duplicates=true")["split"]
    material = Material(kept, shop / "data")
    human = [material.queries[query] for query in material.judgments("human")]
    assert len(shut_out(human, _dev(material))) > 5
    assert "human_shut_out" not in kept.facts
    recipe = read_recipe(shop / "recipe.toml", ("split.keep_near_duplicates=true",))
    assert "keep_near_duplicates" not in records.to_json(recipe)["split"]
    assert "keep_near_duplicates" not in kept.manifest["settings"]["split"]
