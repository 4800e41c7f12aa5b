"""A student is really trained, published and measured, in miniature, by the card's own commands."""

import io
import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from rich.console import Console
from safetensors import safe_open

from distillation.recipe import read_recipe
from distillation.run import Sources, train_student
from rerank_core.artifact import open_artifact
from rerank_core.engine import Engine, load_cross_encoder
from rerank_core.errors import ConfigError, InputError

REPOSITORY = Path(__file__).parents[2]
RECIPES = REPOSITORY / "distillation" / "recipes"
COLOURS, THINGS = ("red", "blue", "green", "black"), ("hammer", "saw", "chair", "lamp", "shirt")

RECIPE = """
name = "tiny"
layers = 1
precision = "float32"
evaluate_every = 4
[text]
fields = ["title", "text"]
query_tokens = 8
product_tokens = 16
[labels]
floor = 1.0
top = 3.0
[anchor]
warmup_steps = 2
every = 3
weight = 0.1
list_products = 4
[optimiser]
learning_rate = 5e-4
head_learning_rate = 2e-3
epochs = 3.0
pairs_a_step = 8
layer_decay = 0.9
average = 0.5
"""
PUBLICATION = """
licence_file = "student.LICENSE"
card = "student.card.md"
[licence]
name = "research-use"
notice = "For tests only."
[[sets]]
folder = "homedepot"
floor = 1.0
top = 3.0
[[sets]]
folder = "homedepot"
floor = 1.0
top = 3.0
reporting_half = true
"""


def _shop(folder):
    """20 products, 20 queries of a colour and a thing; 3 fits in both, 2 in the thing, 1 in none.

    Train and dev share the queries: what is tested is the machinery, not the student.
    """
    (folder / "qrels").mkdir(parents=True)
    pairs = [(colour, thing) for colour in COLOURS for thing in THINGS]
    rows = [
        {"_id": f"p{number}", "title": f"{colour} {thing}", "text": f"a {thing} for the home"}
        for number, (colour, thing) in enumerate(pairs)
    ]
    queries = [
        {"_id": f"q{number}", "text": f"{thing} {colour}"}
        for number, (colour, thing) in enumerate(pairs)
    ]
    for name, content in (("corpus", rows), ("queries", queries)):
        lines = "".join(json.dumps(row) + "\n" for row in content)
        (folder / f"{name}.jsonl").write_text(lines)
    lines = ["query-id\tcorpus-id\tscore"]
    for number, (_, thing) in enumerate(pairs):
        same = next(i for i, pair in enumerate(pairs) if pair[1] == thing and i != number)
        other = next(i for i, pair in enumerate(pairs) if pair[1] != thing)
        lines += [
            f"q{number}\tp{number}\t3",
            f"q{number}\tp{same}\t2",
            f"q{number}\tp{other}\t1",
        ]
    for split in ("train", "dev"):
        (folder / "qrels" / f"{split}.tsv").write_text("\n".join(lines) + "\n")


@pytest.fixture
def data(tmp_path):
    """The folders that the card names, all the same little shop, and unlabelled queries."""
    root = tmp_path / "data"
    for name in ("homedepot", "esci150", "icecat"):
        _shop(root / name)
    (root / "unlabelled").mkdir()
    (root / "unlabelled" / "queries.txt").write_text("lamp\nblack chair\n\ngreen saw\n")
    return root


@pytest.fixture
def recipe(tmp_path):
    """The miniature recipe, read from its file."""
    path = tmp_path / "recipe.toml"
    path.write_text(RECIPE)
    return path


def _sources(data):
    return Sources(data / "homedepot", (data / "homedepot",), data / "unlabelled" / "queries.txt")


def _train(recipe, data, out, *, resume=False, file=None):
    console = Console(file=file or io.StringIO(), width=200)
    return train_student(read_recipe(recipe), _sources(data), out, resume=resume, console=console)


def _card_commands():
    """The commands of the card's last code block, continuation lines joined."""
    block = re.findall(r"```\n(.*?)```", (RECIPES / "student.card.md").read_text(), re.DOTALL)[-1]
    return [shlex.split(line) for line in block.replace("\\\n", " ").splitlines()]


@pytest.mark.timeout(900)  # three commands, each of which loads torch
def test_the_commands_of_the_card_make_a_sealed_student(tmp_path, data, recipe):
    """Train, publish, measure: exactly as the card says, with a small recipe and small data."""
    for name in ("student.LICENSE", "student.card.md"):
        (tmp_path / name).write_bytes((RECIPES / name).read_bytes())
    publication = tmp_path / "publish.toml"
    publication.write_text(PUBLICATION)
    stand_in = {
        "python": sys.executable,
        "data": str(data),
        "distillation/recipes/student.toml": str(recipe),
        "distillation/recipes/student.publish.toml": str(publication),
    }
    commands = _card_commands()
    assert [command[3] for command in commands] == ["train", "publish", "measure"]
    for command in commands:
        words = [
            stand_in.get(
                word,
                re.sub(r"^data/", f"{data}/", re.sub(r"^(runs|out)/", f"{tmp_path}/\\1/", word)),
            )
            for word in command
        ]
        environment = os.environ | {"HF_HUB_OFFLINE": "1"}
        done = subprocess.run(
            words, cwd=REPOSITORY, env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr

    artifact = open_artifact(tmp_path / "out" / "student")
    manifest = artifact.manifest
    assert (manifest.name, manifest.kind) == ("tiny", "cross-encoder")
    assert manifest.recipe == read_recipe(recipe).text
    assert manifest.licence.notice == "For tests only."
    assert manifest.lineage["seed"] == 0
    assert {metric.protocol for metric in manifest.metrics} == {"judged list"}
    config = json.loads((artifact.folder / "config.json").read_text())
    assert config["architectures"] == ["BertForSequenceClassification"]
    with safe_open(artifact.folder / "model.safetensors", "numpy") as weights:
        assert {weights.get_tensor(name).dtype for name in weights.keys()} == {np.dtype("float16")}  # noqa: SIM118
    card = (artifact.folder / "README.md").read_text()
    assert "| homedepot dev, reporting half | judged list |" in card
    assert "| student | nDCG@10 |" in card
    assert "$" not in card
    metrics = json.loads((tmp_path / "runs" / "student" / "metrics.json").read_text())
    assert {"recipe", "seed", "data", "base", "versions", "processor", "wall_seconds"} <= set(
        metrics
    )
    # The published weights are the kept ones: the served order is what the run measured.
    with Engine() as engine:
        logits = dict(
            engine.submit(load_cross_encoder(artifact), "saw red", ["red saw", "blue lamp"])
        )
    assert all(np.isfinite(logit) for logit in logits.values())


def test_a_student_learns_what_the_labels_say(tmp_path, data, recipe):
    """On what it was shown, the loss falls and almost all pairs come out right."""
    recipe.write_text(RECIPE.replace("epochs = 3.0", "epochs = 12.0"))
    curve = _train(recipe, data, tmp_path / "run")["curve"]
    assert curve[-1]["loss"] < 0.8 * curve[0]["loss"]
    assert curve[-1]["pairwise_accuracy"] > 0.9


class _Interrupting(io.StringIO):
    """A terminal that fails once, when the evaluation of a step is printed."""

    def __init__(self, step):
        super().__init__()
        self._line = f"step {step} "

    def write(self, text):
        if self._line and self._line in text:
            self._line = None
            raise KeyboardInterrupt
        return super().write(text)


def test_an_interrupted_run_goes_on_as_if_nothing_had_been(tmp_path, data, recipe):
    """Weights, their average, the curve and dropout's dice: bit by bit those of one quiet run."""
    _train(recipe, data, tmp_path / "quiet")
    with pytest.raises(KeyboardInterrupt):
        _train(recipe, data, tmp_path / "broken", file=_Interrupting(8))
    assert not (tmp_path / "broken" / "metrics.json").exists()
    torch.manual_seed(99)  # what a new process would not share either
    _train(recipe, data, tmp_path / "broken", resume=True)

    for name in ("checkpoint.pt", "best.pt"):
        quiet, broken = (
            torch.load(tmp_path / run / name, weights_only=True) for run in ("quiet", "broken")
        )
        assert quiet["step"] == broken["step"]
        for part in ("student", "average"):
            for key, value in quiet[part].items():
                assert torch.equal(value, broken[part][key]), (name, part, key)
        for one, other in zip(quiet["curve"], broken["curve"], strict=True):
            assert {**one, "seconds": 0} == {**other, "seconds": 0}


def test_a_run_is_not_written_over(tmp_path, data, recipe):
    """A second run into the same folder needs --resume, and then the same recipe."""
    _train(recipe, data, tmp_path / "run")
    with pytest.raises(ConfigError, match="holds a run already; give --resume"):
        _train(recipe, data, tmp_path / "run")
    recipe.write_text(RECIPE.replace('name = "tiny"', 'name = "tiny"\nseed = 5'))
    with pytest.raises(ConfigError, match="of another recipe or other data"):
        _train(recipe, data, tmp_path / "run", resume=True)


def test_what_is_missing_is_named(tmp_path, data, recipe):
    """A folder, the anchor's data, a list of queries, a half to choose on, a product."""
    console = Console(file=io.StringIO())
    read = read_recipe(recipe)

    def train(sources):
        train_student(read, sources, tmp_path / "run", resume=False, console=console)

    shop, queries = data / "homedepot", data / "unlabelled" / "queries.txt"
    with pytest.raises(ConfigError, match=r"nowhere: no queries\.jsonl"):
        train(Sources(tmp_path / "nowhere"))
    with pytest.raises(ConfigError, match="has an anchor: give --catalogue and --queries"):
        train(Sources(shop))
    with pytest.raises(ConfigError, match=r"none\.txt: No such file"):
        train(Sources(shop, (shop,), tmp_path / "none.txt"))
    dev = shop / "qrels" / "dev.tsv"
    text = dev.read_text()
    dev.write_text("query-id\tcorpus-id\tscore\nq0\tp0\t3\n")
    with pytest.raises(ConfigError, match="no query with different grades"):
        train(Sources(shop, (shop,), queries))
    dev.write_text(text + "q0\tp99\t3\n")
    with pytest.raises(InputError, match="query q0: product 'p99' is not in the corpus"):
        train(Sources(shop, (shop,), queries))


def test_the_command_line_answers_an_error_in_one_line(tmp_path):
    """No traceback for a recipe that is not there; the exit status says it failed."""
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "distillation",
            "train",
            str(tmp_path / "none.toml"),
            "--labels",
            str(tmp_path),
            "--out",
            str(tmp_path / "out"),
        ],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert "none.toml: No such file" in done.stderr
    assert "Traceback" not in done.stderr
