"""The schedule of a run, its rates, and what is written of it."""

import numpy as np
import pytest

from distillation.lists import TokenList
from distillation.recipe import Anchor, Labels, Optimiser, TrainingRecipe
from distillation.student import Student
from distillation.training import parameter_groups, plan_run, rate_share
from rerank_core.artifact import named_folder
from rerank_core.errors import ArtifactError
from rerank_core.text import PackedTokens, ProductTextRecipe


def _recipe(*, epochs=1.0, anchor=None, **optimiser):
    return TrainingRecipe(
        name="t",
        text=ProductTextRecipe(fields=("title",)),
        labels=Labels(floor=0, top=1),
        optimiser=Optimiser(
            learning_rate=1e-4,
            head_learning_rate=1e-3,
            epochs=epochs,
            pairs_a_step=2,
            **optimiser,
        ),
        anchor=anchor,
    )


def _lists(count):
    """Lists of two products: one list a step."""
    return [TokenList(PackedTokens.pack([[1], [2]]), np.zeros(2, np.float32)) for _ in range(count)]


def test_anchor_steps_come_first_and_then_after_every_so_many():
    """2 of warm-up at full weight, then one after each third labelled step of seven, at .25."""
    anchor = Anchor(warmup_steps=2, every=3, weight=0.25)
    steps = plan_run(_recipe(anchor=anchor), _lists(7), _lists(3))
    assert "".join("a" if step.anchored else "." for step in steps) == "aa...a...a."
    assert [step.weight for step in steps if step.anchored] == [1.0, 1.0, 0.25, 0.25]


def test_without_an_anchor_there_are_labelled_steps_only():
    """An epoch of seven lists, a list a step, is seven steps; every: 0 adds none either."""
    assert [step.anchored for step in plan_run(_recipe(), _lists(7), [])] == [False] * 7
    anchor = Anchor(warmup_steps=1, every=0, weight=1.0)
    steps = plan_run(_recipe(anchor=anchor), _lists(3), _lists(1))
    assert [step.anchored for step in steps] == [True, False, False, False]


@pytest.mark.parametrize(("epochs", "steps"), [(0.5, 5), (1.0, 10), (2.5, 25)])
def test_part_of_an_epoch_is_part_of_its_steps(epochs, steps):
    """Ten lists, a list a step."""
    assert len(plan_run(_recipe(epochs=epochs), _lists(10), [])) == steps


def test_the_rate_climbs_then_falls_on_straight_lines():
    """100 steps, a tenth of warm-up: step 0 at 1/11, step 9 at 10/11, step 10 at 1.

    Halfway down, step 55, it is 45/90; the last step, 99, is at 1/90, not at 0.
    """
    assert [rate_share(step, 100, 0.1) for step in (0, 9, 10, 55, 99)] == pytest.approx(
        [1 / 11, 10 / 11, 1.0, 0.5, 1 / 90]
    )
    assert rate_share(0, 4, 0.0) == 1.0


def test_lower_layers_learn_slower_and_the_head_at_its_own_rate():
    """Two layers, decay .5: the top layer 1e-4, the one below 5e-5, the embeddings 2.5e-5.

    Biases and norms do not decay; every parameter is in one group.
    """
    student = Student(named_folder("minilm"), layers=2)
    groups = parameter_groups(student, _recipe(layer_decay=0.5))
    peak = {
        id(p): (group["peak"], group["weight_decay"]) for group in groups for p in group["params"]
    }
    named = dict(student.named_parameters())
    assert sum(len(group["params"]) for group in groups) == len(named) == len(peak)
    layer = "network.bert.encoder.layer.{}.intermediate.dense.weight"
    assert peak[id(named[layer.format(1)])] == pytest.approx((1e-4, 0.01))
    assert peak[id(named[layer.format(0)])] == pytest.approx((5e-5, 0.01))
    words = "network.bert.embeddings.word_embeddings.weight"
    assert peak[id(named[words])] == pytest.approx((2.5e-5, 0.01))
    assert peak[id(named["network.classifier.weight"])] == pytest.approx((1e-3, 0.01))
    assert peak[id(named["network.classifier.bias"])] == pytest.approx((1e-3, 0.0))


def test_a_folder_that_cannot_become_a_student_is_named(tmp_path):
    """Nothing there; more layers asked for than there are."""
    with pytest.raises(ArtifactError, match=r"no config\.json"):
        Student(tmp_path)
    with pytest.raises(ArtifactError, match="has 6 layers, 7 were asked for"):
        Student(named_folder("minilm"), layers=7)
