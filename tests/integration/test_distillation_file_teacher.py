"""A shop's own labels as teacher: a file that knows the pool, and little or nothing else."""

import io
import math

import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
import pytest
from rich.console import Console

from distillation.pipeline.recipe import read_recipe
from distillation.pipeline.run import Place, run
from distillation.pipeline.split import Material
from rerank_core.errors import ConfigError
from rerank_core.measures import read_run
from rerank_core.text import ProductTextRecipe
from tests.tiny_shop import TEXT, write_tiny_shop

pytestmark = [
    pytest.mark.timeout(600),
    pytest.mark.usefixtures("one_thread"),
]
FILE = f"""
[[teacher.members]]
kind = "file"
path = "labels.csv"
{TEXT}
"""
RECIPE = f"""
extends = "shop.toml"
{FILE}
[pool]
bm25 = 0
[[pool.mine]]
queries = "shop"
catalogues = ["shop"]
[labels]
pairs = 100
[student]
layers = 1
{TEXT}
fit = {{steps = 4, loss = "margin-mse", learning_rate = 4e-4, head_learning_rate = 2e-3, \
evaluations = 1, pairs_a_step = 16, precision = "float32"}}
"""
TITLES = ProductTextRecipe(("title", "brand"), query_tokens=12, product_tokens=16)
COSINE = f"""
[[teacher.members]]
kind = "cosine"
{TEXT}
"""


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    """A made-up shop, and recipes whose teacher is a file, or a file and a cosine."""
    folder = tmp_path_factory.mktemp("file")
    write_tiny_shop(folder)
    (folder / "file.toml").write_text(RECIPE)
    (folder / "both.toml").write_text(RECIPE.replace(FILE, FILE + COSINE))
    (folder / "cosine.toml").write_text(RECIPE.replace(FILE, COSINE))
    return folder


def _run(shop, name, until, show=None):
    place = Place(shop / "data", shop / "out", None, shop)
    return run(read_recipe(shop / f"{name}.toml"), place, show or _quiet(), until=until)


def _quiet():
    return Console(file=io.StringIO(), width=200)


def _write(shop, pairs):
    """Pairs with their labels as ``data/labels.csv``."""
    material = Material(_run(shop, "cosine", "split")["split"], shop / "data")
    table = {
        "query": [material.queries[query] for query, _ in pairs],
        "product": [TITLES.compose(material.products[name]) for _, name in pairs],
        "logit": [_label(material, *pair) for pair in pairs],
    }
    pa_csv.write_csv(pa.table(table), shop / "data" / "labels.csv")
    return material


def _pool(shop):
    table = pq.read_table(_run(shop, "cosine", "labels")["pool"].folder / "pool.parquet")
    return list(zip(table["query"].to_pylist(), table["product"].to_pylist(), strict=True))


def test_a_file_that_labels_the_pool_alone_teaches(shop):
    """It says nothing of dev, which is counted and is no row of the page; inf is no answer."""
    pool = _pool(shop)
    _write(shop, pool)
    path = shop / "data" / "labels.csv"
    lines = path.read_text().splitlines()
    lines[1] = lines[1].rpartition(",")[0] + ",inf"
    path.write_text("\n".join(lines) + "\n")
    show = _quiet()
    done = _run(shop, "file", "evaluate", show)
    assert done["labels"].facts["unreadable"] == 1
    found = pq.read_table(done["labels"].folder / "labels.parquet")["logit"].to_pylist()
    assert len(found) == 99
    assert max(found) > 3
    assert "student" in done["evaluate"].facts["select"]["shop"]["means"]
    assert "teacher" not in done["evaluate"].facts["select"]["shop"]["means"]
    assert "select: the teacher has no answer to any pair, it is left out" in show.file.getvalue()


def test_answers_that_could_not_be_read_have_no_part_in_a_members_scale(shop):
    """One pair of the human lists is missing: the spread is that of the others.

    Left in as -1e9 it was 2e7, and the member weighed nothing in the mean.
    """
    pool = _pool(shop)
    material = _write(shop, [])
    judged = [
        (query, name)
        for role in ("human", "select")
        for query, rows in material.judgments(role).items()
        for name in rows
    ]
    _write(shop, pool + judged[1:])
    teacher = _run(shop, "both", "teacher")["teacher"]
    human = {
        query: {name: _label(material, query, name) for name in rows}
        for query, rows in material.judgments("human").items()
    }
    del human[judged[0][0]][judged[0][1]]
    assert teacher.facts["spreads"][0] == pytest.approx(_spread(human))
    assert teacher.facts["scale"] < 30
    scores = [score for rows in read_run(teacher.folder / "select.trec").values()
              for score in rows.values()]  # fmt: skip
    assert all(abs(score) < 1e3 for score in scores)


def test_a_member_that_cannot_be_weighed_is_named(shop):
    """A mean needs its spread, which a file that labels the pool alone does not have."""
    _write(shop, _pool(shop))
    with pytest.raises(ConfigError, match=r"member 0: among the human judgments has no query"):
        _run(shop, "both", "teacher")


def _label(material, query, name):
    """Words that query and product share, and a little for a short text."""
    words = TITLES.compose(material.products[name]).lower().split()
    return 4.0 * len(set(words) & set(material.queries[query].lower().split())) - len(words) / 10


def _spread(run):
    variances = []
    for rows in run.values():
        values = list(rows.values())
        if len(values) > 1:
            mean = sum(values) / len(values)
            variances.append(sum((value - mean) ** 2 for value in values) / len(values))
    return math.sqrt(sum(variances) / len(variances))
