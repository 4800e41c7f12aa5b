"""The recipes that come with the project."""

from pathlib import Path

import pytest

from distillation.pipeline.recipe import read_recipe
from distillation.study.plan import read_plan

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


@pytest.mark.parametrize("path", sorted((_HOUSE / "docs" / "study").glob("*.toml")))
def test_each_grid_names_recipes_that_are_there(path):
    """Arms with their changes, too, which are settings of the recipe."""
    plan = read_plan(path)
    for arm in plan.arms:
        read_recipe(path.parent / arm.recipe, arm.changes)
    read_recipe(path.parent / plan.teacher, ())
