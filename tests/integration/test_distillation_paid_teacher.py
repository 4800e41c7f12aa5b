"""A teacher that is paid by the pair, in the pipeline: priced, capped, and asked nothing twice."""

import io
import re

import pytest
from rich.console import Console
from typer.testing import CliRunner

from distillation.__main__ import app
from distillation.pipeline.recipe import read_recipe
from distillation.pipeline.run import Place, run
from rerank_core.errors import ConfigError, ScoringError
from tests.label_server import listening
from tests.tiny_shop import TEXT, write_tiny_shop

pytestmark = pytest.mark.timeout(600)
RECIPE = f"""
extends = "shop.toml"
[[teacher.members]]
kind = "server"
url = "URL"
model = "small"
revision = "r1"
concurrency = 1
prompt = "Query: {{query}}\\nProduct: {{product}}\\nAnswer:"
grades = [" No", " Yes"]
{TEXT}
[pool]
bm25 = 0
[labels]
pairs = 100
chunk = 50
[student]
layers = 1
{TEXT}
fit = {{steps = 4, loss = "margin-mse", learning_rate = 4e-4, head_learning_rate = 2e-3}}
"""


@pytest.fixture
def server():
    """Listening until the test ends."""
    with listening() as one:
        yield one


@pytest.fixture
def shop(tmp_path, server):
    """A made-up shop, and a recipe whose teacher is the server."""
    write_tiny_shop(tmp_path)
    (tmp_path / "paid.toml").write_text(RECIPE.replace("URL", server.url))
    return tmp_path


def _run(shop, until, *changes):
    place = Place(shop / "data", shop / "out", None, shop)
    recipe = read_recipe(shop / "paid.toml", changes)
    return run(recipe, place, Console(file=io.StringIO()), until=until)


def test_a_dry_run_tells_pairs_time_and_tokens_and_asks_a_sample(shop, server):
    """Eight tokens an answer; no stage of the teacher is there, and the sample is known next."""
    folders = ("--data", str(shop / "data"), "--out", str(shop / "out"))
    told = []
    for _ in range(2):
        done = CliRunner().invoke(
            app, ["run", str(shop / "paid.toml"), *folders, "--dry-run"], env={"COLUMNS": "200"}
        )
        assert done.exit_code == 0, done.output
        found = re.search(
            r"member 0, server: ([\d,]+) pairs, (\d+) known, (\d+) asked just now, about \d+ min"
            r" and ([\d,]+) tokens for the rest", done.output,
        )  # fmt: skip
        told.append([int(word.replace(",", "")) for word in found.groups()])
    (pairs, known, tried, tokens), (_, known_next, _, tokens_next) = told
    assert (known, tried, known_next) == (0, 64, 64)
    assert tokens == 8 * (pairs - 64)
    assert tokens_next == 8 * (pairs - 128)
    assert len(server.asked) == len(set(server.asked)) == 128
    stages = {one.name.split("-")[0] for one in (shop / "out").iterdir() if one.is_dir()}
    assert stages == {"label", "pool", "split"}


def test_a_cap_holds_for_what_the_teacher_stage_asks(shop, server):
    """dev-select alone is more than ten pairs: not one is asked for."""
    with pytest.raises(ConfigError, match=r"pairs to label, the cap is 10; raise labels\.cap"):
        _run(shop, "teacher", "labels.cap=10")
    assert server.asked == []


def test_a_teacher_that_fails_amid_its_stage_is_asked_for_the_rest_alone(shop, server, monkeypatch):
    """Then for the pool: no prompt twice, save the one that failed."""
    monkeypatch.setattr("distillation.teachers.server._RETRIES", 0)
    server.down_after = 30
    with pytest.raises(ScoringError, match="the filter says no"):
        _run(shop, "teacher")
    server.down_after = None
    answered, before = server.asked[:30], len(server.asked)
    _run(shop, "labels")
    later = server.asked[before:]
    assert len(set(answered)) == 30
    assert not set(answered) & set(later)
    assert len(set(later)) == len(later) > 100
