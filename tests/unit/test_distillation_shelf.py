"""What a study keeps, and what it does not put beside it."""

from __future__ import annotations

from pathlib import Path

import pytest

from distillation.study import grid
from distillation.study.plan import read_plan
from distillation.study.shelf import Shelf
from rerank_core.errors import ConfigError

_RECIPES = Path(__file__).parents[2] / "distillation" / "recipes"


def test_a_unit_of_another_teacher_is_refused(tmp_path):
    """A base goes by its name; under the name other weights may lie when the study goes on."""
    shelf = Shelf(tmp_path)
    shelf.check_teacher("hash", "teacher-any", "C1-1")  # none is kept yet
    shelf.keep("teacher", "hash", {}, {"teacher": {"folder": "teacher-aa"}})
    shelf.check_teacher("hash", "teacher-aa", "C1-1")
    shelf.check_teacher("of another recipe", "teacher-bb", "H-1")
    with pytest.raises(ConfigError, match="C1-2: was taught by teacher-bb, the study's teacher is"):
        shelf.check_teacher("hash", "teacher-bb", "C1-2")


def test_an_arm_of_several_students_is_refused(tmp_path):
    """Their seeds are their own: three units of it would be one thrice."""
    demo = (_RECIPES / "demo.toml").read_text(encoding="utf-8")
    (tmp_path / "mixed.toml").write_text(
        demo
        + "\n[[soup]]\nseed = 1\nsteps = 4\nevaluations = 1\n"
        + "\n[[soup]]\nseed = 2\nsteps = 4\nevaluations = 1\n"
    )
    plan = tmp_path / "plan.toml"
    plan.write_text(
        'name = "x"\ndecides = "shop"\nhuman = "A"\nteacher = "mixed.toml"\n'
        '[[arms]]\nname = "A"\nrecipe = "mixed.toml"\nlabels = 1\nseeds = [1]\n'
    )
    with pytest.raises(ConfigError, match="arm A is a soup, which has no one seed"):
        list(grid.units(read_plan(plan), plan))
