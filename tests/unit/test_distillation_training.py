"""The schedule of a run, its rates, and what is written of it."""

import numpy as np
import pytest
import torch

from distillation.batches import Pick, assemble, even
from distillation.first_token import first_token_states
from distillation.lists import TokenList
from distillation.precision import has_bfloat16, in_bfloat16
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


@pytest.mark.parametrize("autocast", [False, True])
def test_the_first_tokens_are_those_of_the_whole_network_and_so_are_gradients(autocast):
    """Rows of 2 to 9 tokens: state and gradient of a network that computes every token.

    In bfloat16, where padding is kept, states agree to its 8 bits.
    """
    student = Student(named_folder("minilm"), layers=2, dropout=0.0)
    bert = student.network.bert
    rows = [list(range(1000, 1000 + count)) for count in (2, 9, 5)]
    lists = [TokenList(PackedTokens.pack(rows), np.zeros(3, np.float32))]
    batch = assemble(lists, [Pick(0, np.arange(3))])
    mixer = torch.linspace(-1, 1, 3 * 384).view(3, 384)
    weight = bert.encoder.layer[0].attention.self.key.weight
    found = []
    with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
        for states in (
            first_token_states(bert, batch),
            first_token_states(bert, even(batch))[:3],
            bert(
                input_ids=batch.ids, attention_mask=batch.mask, token_type_ids=batch.type_ids
            ).last_hidden_state[:, 0],
        ):
            (gradient,) = torch.autograd.grad((states.float() * mixer).sum(), weight)
            found.append((states.detach().float(), gradient))
    whole, slope = found.pop()
    for states, gradient in found:
        torch.testing.assert_close(states, whole, atol=0.1 if autocast else 1e-5, rtol=0)
        if not autocast:
            torch.testing.assert_close(gradient, slope, atol=1e-5, rtol=1e-4)


def test_bfloat16_is_for_processors_that_compute_it():
    """Zen 3 has AVX2 alone, Zen 5 and Sapphire Rapids have it; ARM writes its flags elsewhere."""
    assert not has_bfloat16("model name\t: EPYC\nflags\t\t: fpu avx2 sha_ni\n")
    assert has_bfloat16("flags\t\t: fpu avx2 avx512_bf16\n")
    assert has_bfloat16("flags\t\t: fpu amx_bf16 amx_tile\n")
    assert has_bfloat16("Features\t: fp asimd bf16\n")
    assert not has_bfloat16("")
    assert in_bfloat16("bfloat16")
    assert not in_bfloat16("float32")


def test_a_folder_that_cannot_become_a_student_is_named(tmp_path):
    """Nothing there; more layers asked for than there are."""
    with pytest.raises(ArtifactError, match=r"no config\.json"):
        Student(tmp_path)
    with pytest.raises(ArtifactError, match="has 6 layers, 7 were asked for"):
        Student(named_folder("minilm"), layers=7)
