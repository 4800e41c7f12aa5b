"""The whole recipe, in miniature: real judgments, a real BM25 index, really trained models."""

import io
import json
import math

import grpc
import pyarrow.parquet as pq
import pytest
import torch
from rich.console import Console

from distillation.pipeline.recipe import read_recipe
from distillation.pipeline.run import STAGES, Place, run
from distillation.pipeline.split import Material
from distillation.pool.shutting import shut_out
from rerank_core.artifact import open_artifact, open_named
from rerank_core.engine import Engine, load_cross_encoder
from rerank_core.errors import ArtifactError, ConfigError
from rerank_core.measures import BeirFolder, read_run
from rerank_proto.rerank.v1 import rerank_pb2 as pb
from rerank_proto.rerank.v1 import rerank_pb2_grpc as pb_grpc
from tests.sidecar_process import PATIENCE_S, running
from tests.tiny_shop import TEXT, write_tiny_shop

pytestmark = [
    pytest.mark.timeout(900),  # all eight stages, for the first test that asks
    pytest.mark.usefixtures("one_thread"),
]
RECIPE = """
extends = "shop.toml"
report = true
[[teacher.members]]
kind = "cross-encoder"
layers = 1
TEXT
fit = {steps = 6, loss = "ranknet", pointwise = 0.3, learning_rate = 1e-3, \
head_learning_rate = 5e-3, evaluations = 2, precision = "float32"}
[[teacher.members]]
kind = "cosine"
TEXT
[labels]
pairs = 200
chunk = 64
[student]
layers = 2
TEXT
fit = {steps = 40, loss = "margin-mse", learning_rate = 4e-4, head_learning_rate = 2e-3, \
evaluations = 2, average = 0.5}
[publish]
shipped = ""
card = "card.md"
licence_file = "LICENCE"
[publish.licence]
name = "none"
"""


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    """A made-up shop, and a recipe of few layers and few steps."""
    folder = tmp_path_factory.mktemp("distillation")
    write_tiny_shop(folder)
    (folder / "recipe.toml").write_text(RECIPE.replace("TEXT", TEXT))
    (folder / "card.md").write_text("# tiny\n\n$facts\n\n$table\n")
    (folder / "LICENCE").write_text("none\n")
    return folder


@pytest.fixture(scope="module")
def done(shop, cluster):
    """The recipe, run from split to publish."""
    place = Place(shop / "data", shop / "out", cluster, shop)
    return run(read_recipe(shop / "recipe.toml"), place, Console(file=io.StringIO()))


def test_every_stage_is_done_and_none_is_done_again(shop, cluster, done):
    """The second run reads manifests only; a look for what is done finds all of it."""
    assert tuple(done) == STAGES
    show = Console(file=io.StringIO(), width=200)
    place = Place(shop / "data", shop / "out", cluster, shop)
    again = run(read_recipe(shop / "recipe.toml"), place, show)
    assert {n: one.folder for n, one in again.items()} == {n: s.folder for n, s in done.items()}
    assert show.file.getvalue().count("done before") == len(STAGES) + 2  # two members


def test_no_judgment_of_a_hidden_or_a_dev_query_is_in_what_the_teacher_sees(shop, done):
    """Human, select and report are apart, and hidden queries have a text and no grade."""
    material = Material(done["split"], shop / "data")
    roles = [set(material.judgments(role)) for role in ("human", "select", "report")]
    assert len(roles[0]) == 20
    assert not roles[0] & roles[1] | roles[0] & roles[2] | roles[1] & roles[2]
    hidden = set(material.unlabelled["shop"])
    assert hidden
    assert not hidden & set.union(*roles)
    seen = "".join((done["split"].folder / f"{r}.jsonl").read_text() for r in ("human", "select"))
    assert not any(f'"{query}"' in seen for query in hidden)


def test_the_pool_holds_no_judged_dev_query_nor_what_is_like_it(shop, done):
    """Held against the judgments themselves, not against what the split wrote of them."""
    material = Material(done["split"], shop / "data")
    texts = BeirFolder(shop / "data" / "shop").queries()
    dev = [
        texts[query.partition("/")[2]]
        for role in ("select", "report")
        for query in material.judgments(role)
    ]
    table = pq.read_table(done["pool"].folder / "pool.parquet")
    mined = [material.queries[query] for query in set(table["query"].to_pylist())]
    assert mined
    assert shut_out(mined, dev) == {}
    pairs = list(zip(table["query"].to_pylist(), table["product"].to_pylist(), strict=True))
    assert len(set(pairs)) == len(pairs)
    assert set(table["origin"].to_pylist()) == {"bm25", "neighbour", "random"}


def test_labels_are_those_of_the_pool_and_of_this_teacher(done):
    """As many as were asked for, each a number, the teacher named with its revision."""
    table = pq.read_table(done["labels"].folder / "labels.parquet")
    facts = done["labels"].facts
    assert len(table) == 200
    assert facts["unreadable"] == 0
    assert facts["teacher"]["teacher_id"] == "mean of 2"
    assert len(facts["teacher"]["revision"]) == 64


def test_the_published_folder_is_served_and_leads_back_to_every_label(done):
    """The engine loads it, its manifest has a probability, measures, and all stages."""
    folder = done["publish"].folder / "model"
    artifact = open_artifact(folder)
    with Engine(workers=1) as engine:
        scores = dict(engine.submit(load_cross_encoder(artifact), "lamp", ["a lamp", "a chair"]))
    assert sorted(scores) == [0, 1]
    manifest = artifact.manifest
    assert manifest.probability is not None
    assert manifest.probability.slope == done["calibrate"].facts["slope"]
    stages = {json.dumps(key).split("-")[0].strip('"') for key in manifest.lineage}
    assert stages == {
        "evaluate", "calibrate", "student", "labels", "pool", "teacher", "member", "split",
    }  # fmt: skip
    assert {one.data for one in manifest.metrics} == {"shop dev-report"}
    card = (folder / "README.md").read_text()
    assert "$" not in card
    assert "dev-select nDCG@10" in card


def test_a_sidecar_answers_the_probability_of_the_published_model(done, tmp_path):
    """Folder in, real process, gRPC out: the line of the calibrate stage over each logit.

    Written out here: 1 / (1 + exp(-(slope x logit + intercept))).
    """
    line = done["calibrate"].facts
    documents = [pb.Document(id=text, text=text) for text in ("a lamp", "a chair", "an oak shelf")]
    flags = ("--models.reranker", done["publish"].folder / "model")
    with running(tmp_path, *flags) as sidecar, grpc.insecure_channel(sidecar.target) as channel:
        request = pb.RerankRequest(query="lamp", documents=documents)
        answer = pb_grpc.RerankServiceStub(channel).Rerank(request, timeout=PATIENCE_S)
    scores = [one.rerank for one in answer.documents]
    assert len(scores) == 3
    for score in scores:
        expected = 1 / (1 + math.exp(-(line["slope"] * score.logit + line["intercept"])))
        assert score.probability == pytest.approx(expected, abs=1e-6)
    assert answer.model.hash == done["publish"].facts["model_hash"]


def test_the_page_and_the_runs_can_be_read_again(done):
    """TREC runs of three rankers on both halves, a page with its plots."""
    folder = done["evaluate"].folder
    for role in ("select", "report"):
        for ranker in ("student", "teacher", "cosine"):
            assert read_run(folder / f"{role}.{ranker}.trec")
        page = (folder / f"{role}.md").read_text()
        assert "Biggest wins against the teacher" in page
        for plot in ("queries", "reliability"):
            name = f"{role}.{plot}.png"
            assert name in page
            assert (folder / name).stat().st_size > 5_000


def test_another_size_shares_all_but_the_student(shop, cluster, done):
    """A grid trains its teacher once and labels once."""
    recipe = read_recipe(shop / "recipe.toml", ("student.pairs=50", "student.fit.steps=2"))
    place = Place(shop / "data", shop / "out", cluster, shop)
    other = run(recipe, place, Console(file=io.StringIO()), until="student")
    assert other["student"].folder != done["student"].folder
    assert other["labels"].folder == done["labels"].folder
    assert other["student"].facts["pairs"] <= 50


def test_more_labels_cost_the_difference_alone(shop, cluster, done):
    """The first 200 pairs are known from before; the teacher is asked the other 40."""
    recipe = read_recipe(shop / "recipe.toml", ("labels.pairs=240",))
    place = Place(shop / "data", shop / "out", cluster, shop)
    more = run(recipe, place, Console(file=io.StringIO()), until="labels")["labels"]
    assert more.folder != done["labels"].folder
    price = {"pairs": 240, "known": 200, "seconds": 0.0, "tokens": 0, "tried": 40}
    assert more.facts["price"] == price
    table, before = (pq.read_table(one.folder / "labels.parquet") for one in (more, done["labels"]))
    assert table.slice(0, 200) == before


def test_a_student_worse_than_the_one_shipped_is_refused_unless_forced(shop, cluster, done):
    """Forty steps of two layers are no match for the student that is shipped.

    Refused, it leaves no folder that could be served. By its weights, not by its name: where
    another is shipped under the name, the stage is another.
    """
    recipe = read_recipe(shop / "recipe.toml", ("publish.shipped=student", "publish.model=shop"))
    show = Console(file=io.StringIO())
    with pytest.raises(ConfigError, match="--force publishes it all the same"):
        run(recipe, Place(shop / "data", shop / "out", cluster, shop), show)
    sealed = [path.parent for path in (shop / "out").glob("publish-*/**/rerank_manifest.json")]
    assert sealed == [done["publish"].folder / "model"]
    place = Place(shop / "data", shop / "out", cluster, shop, force=True)
    forced = run(recipe, place, show)["publish"]
    assert forced.facts["forced"] is True
    assert open_artifact(forced.folder / "model").manifest.name == "shop"
    assert forced.manifest["settings"]["shipped_hash"] == open_named("student").manifest.model_hash
    assert forced.manifest["environment"]["versions"]["rerank-sidecar"]


def test_several_students_become_one_the_mean_of_their_weights(shop, cluster, done):
    """By their steps; each is a stage of its own, and the mean goes where one student would."""
    soup = "soup=[{seed=1, steps=4, evaluations=1}, {seed=2, steps=12, evaluations=2}]"
    recipe = read_recipe(shop / "recipe.toml", (soup,))
    place = Place(shop / "data", shop / "out", cluster, shop)
    mixed = run(recipe, place, Console(file=io.StringIO()), until="student")
    student = mixed["student"]
    parts = [student.manifest["inputs"][f"student {number}"]["folder"] for number in (0, 1)]
    first, second, mean = (
        torch.load(folder / "best.pt", weights_only=True)
        for folder in (*(shop / "out" / part for part in parts), student.folder)
    )
    assert mean.keys() == first.keys()
    for name, values in mean.items():
        torch.testing.assert_close(values, 0.25 * first[name] + 0.75 * second[name])
    assert not torch.equal(first["network.classifier.weight"], second["network.classifier.weight"])
    assert student.facts["best"]["nDCG@10"] > 0
    del done


def test_without_a_cluster_bm25_is_named(shop):
    """Nothing is mined in its place."""
    recipe = read_recipe(shop / "recipe.toml", ("pool.seed=9",))
    with pytest.raises(ConfigError, match=r"--cluster URL, or set pool\.bm25=0"):
        run(recipe, Place(shop / "data", shop / "out", None, shop), Console(file=io.StringIO()))


def test_an_edited_label_is_found(shop, cluster, done):
    """The student's lineage would lie; the stage says which folder to remove."""
    path = done["labels"].folder / "labels.parquet"
    content = path.read_bytes()
    path.write_bytes(content + b"x")
    try:
        with pytest.raises(ArtifactError, match=r"labels\.parquet: not what the stage wrote"):
            run(
                read_recipe(shop / "recipe.toml"),
                Place(shop / "data", shop / "out", cluster, shop),
                Console(file=io.StringIO()),
            )
    finally:
        path.write_bytes(content)


def test_a_pool_that_wants_a_cluster_says_so_before_the_teacher_trains(shop, tmp_path):
    """Not an hour later."""
    alone = Place(shop / "data", tmp_path, None, shop)
    recipe = read_recipe(shop / "recipe.toml")
    with pytest.raises(ConfigError, match=r"pool.bm25: needs a cluster; give --cluster URL"):
        run(recipe, alone, Console(file=io.StringIO()))
    assert [one.name[:6] for one in tmp_path.iterdir()] == ["split-"]


def test_a_pool_that_is_mined_wants_no_cluster(shop, done):
    """Its stage is there, so that of a later run nobody need be asked."""
    alone = Place(shop / "data", shop / "out", None, shop)
    again = run(read_recipe(shop / "recipe.toml"), alone, Console(file=io.StringIO()))
    assert again["pool"].folder == done["pool"].folder
