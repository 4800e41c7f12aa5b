"""A recipe file is read whole, and every fault in it is named."""

import pytest

from distillation.recipe import read_recipe
from rerank_core.errors import ConfigError

GOOD = """
name = "tiny"
[text]
fields = ["title", "brand"]
product_tokens = 16
[labels]
floor = 1
top = 3.0
[optimiser]
learning_rate = 1e-4
head_learning_rate = 1e-3
epochs = 2
"""


def _read(tmp_path, text):
    path = tmp_path / "recipe.toml"
    path.write_text(text)
    return read_recipe(path)


def test_a_recipe_says_what_is_read_and_learned(tmp_path):
    """Fields, limits and rates come through; what is not given has its documented value."""
    recipe = _read(tmp_path, GOOD)
    assert recipe.text.fields == ("title", "brand")
    assert (recipe.text.query_tokens, recipe.text.product_tokens) == (32, 16)
    assert (recipe.labels.scale.floor, recipe.labels.scale.top) == (1.0, 3.0)
    assert recipe.optimiser.epochs == 2
    assert (recipe.base, recipe.pointwise, recipe.anchor) == ("minilm", 0.3, None)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (("epochs = 2", "epochs = 2\nepoch = 3"), r"optimiser\.epoch: Unexpected keyword"),
        (("epochs = 2", ""), r"optimiser\.epochs: (Missing|Field required)"),
        (("epochs = 2", "epochs = 0"), "optimiser: .*epochs: must be above 0"),
        (("epochs = 2", 'epochs = "2"'), r"optimiser\.epochs: Input should be a valid number"),
        (("floor = 1", "floor = 3"), "labels: .*floor must be below top"),
        (("product_tokens = 16", "product_tokens = 0"), "at least 1"),
        (('"brand"]', '"title"]'), "name each field once"),
        (('name = "tiny"', ""), "name: (Missing|Field required)"),
        (('name = "tiny"', 'name = "tiny"\nprecision = "int8"'), "precision: Input should be"),
        (('name = "tiny"', "name = tiny"), "not TOML"),
        (
            ("[optimiser]", "[anchor]\nwarmup_steps = 1\nevery = 2\nweight = 0\n[optimiser]"),
            "anchor: .*weight and scale are above 0",
        ),
    ],
)
def test_a_fault_names_the_file_and_the_key(tmp_path, change, named):
    """An unknown key, a missing one, a wrong type, a value out of bounds."""
    with pytest.raises(ConfigError, match=r"recipe\.toml: .*" + named):
        _read(tmp_path, GOOD.replace(*change))


def test_a_recipe_that_is_not_there_is_named(tmp_path):
    """With what to give in its place."""
    with pytest.raises(ConfigError, match=r"none\.toml: No such file.*give a TOML file"):
        read_recipe(tmp_path / "none.toml")
