"""The recipes that come with the project."""

from pathlib import Path

import pytest

from distillation.pipeline.fit import Fit
from distillation.pipeline.members import CrossEncoderTeacher, DecoderTeacher
from distillation.pipeline.recipe import read_recipe
from distillation.study.plan import read_plan
from rerank_core.errors import ConfigError
from rerank_core.text import ProductTextRecipe

_HOUSE = Path(__file__).parents[2]
_RECIPES = _HOUSE / "distillation" / "recipes"
# Of `train`, which is no pipeline of stages; publish.toml is a part of one.
_OTHER = {"student.toml", "student.publish.toml"}
_STAGED = sorted(path for path in _RECIPES.rglob("*.toml") if path.name not in _OTHER)


@pytest.mark.parametrize("path", _STAGED, ids=lambda path: path.stem)
def test_each_can_be_read_and_is_named_as_its_file(path):
    """A study names its stages and runs by it."""
    recipe = read_recipe(path, ())
    assert recipe.name == path.stem
    assert recipe.teacher.members


def test_a_recipe_is_found_from_the_one_that_names_it(tmp_path):
    """Over two folders: each `extends` counts from its own file, the nearest word holds."""
    (tmp_path / "a" / "b").mkdir(parents=True)
    demo = (_RECIPES / "demo.toml").read_text(encoding="utf-8")
    (tmp_path / "a" / "b" / "last.toml").write_text(demo, encoding="utf-8")
    (tmp_path / "a" / "b" / "middle.toml").write_text('extends = "last.toml"\nname = "middle"\n')
    (tmp_path / "first.toml").write_text(
        'extends = "a/b/middle.toml"\n[student.fit]\nsteps = 7\nevaluations = 1\n'
    )
    recipe = read_recipe(tmp_path / "first.toml")
    assert (recipe.name, recipe.student.fit.steps) == ("middle", 7)
    assert recipe.split == read_recipe(_RECIPES / "demo.toml").split


@pytest.mark.parametrize("path", sorted((_HOUSE / "docs" / "study").glob("*.toml")))
def test_each_grid_names_recipes_that_are_there(path):
    """Arms with their changes, too, which are settings of the recipe."""
    plan = read_plan(path)
    for arm in plan.arms:
        read_recipe(path.parent / arm.recipe, arm.changes)
    read_recipe(path.parent / plan.teacher, ())


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        (("student.fit.pointwise=0.3",), "a teacher's labels are logits"),
        (("student.fit.loss=bce",), "a teacher's labels are logits"),
        (("student.learns=human", "student.fit.loss=cross-entropy"), "has one output"),
    ],
)
def test_a_loss_that_would_run_away_is_refused(changes, fault):
    """Cross-entropy with a target of 8 has no lower bound: the logit grows without end."""
    with pytest.raises(ConfigError, match=fault):
        read_recipe(_RECIPES / "demo.toml", changes)


@pytest.mark.parametrize(
    ("soup", "fault"),
    [
        ("[{seed=1, steps=4, evaluations=1}]", "soup: takes two students or more"),
        ("[{seed=1, steps=4, evaluations=5}, {seed=2, steps=4, evaluations=1}]", "1 to steps"),
        ("[{seed=1, steps=0, evaluations=1}, {seed=2, steps=4, evaluations=1}]", "1 or more"),
    ],
)
def test_a_soup_that_cannot_be_trained_is_refused_when_it_is_read(soup, fault):
    """Not after its labels were paid for."""
    with pytest.raises(ConfigError, match=fault):
        read_recipe(_RECIPES / "demo.toml", (f"soup={soup}",))


@pytest.mark.parametrize(
    ("kind", "classes", "loss", "fault"),
    [
        (DecoderTeacher, {"classes": 1}, "cross-entropy", "has one output"),
        (DecoderTeacher, {"classes": 3}, "bce", "has 3 classes"),
        (CrossEncoderTeacher, {}, "cross-entropy", "has one output"),
    ],
)
def test_a_teachers_loss_fits_its_head(kind, classes, loss, fault):
    """Rather than another loss in its place."""
    fit = Fit(steps=9, loss=loss, learning_rate=1e-3, head_learning_rate=1e-3)
    with pytest.raises(ValueError, match=fault):
        kind("kind", ProductTextRecipe(("title",)), base="base", fit=fit, **classes)
