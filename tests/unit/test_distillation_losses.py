"""Losses against numbers worked out by hand, and their gradients against finite differences."""

import math

import pytest
import torch

from distillation.losses import loss, margin_mse, ranknet, soft_bce


def _softplus(x: float) -> float:
    return math.log1p(math.exp(x))


def test_soft_bce_is_the_cross_entropy_with_the_share():
    """Logit 0 costs log 2 whatever the target; logit 2 on target .25 by the definition."""
    logits, targets = torch.tensor([0.0, 2.0]), torch.tensor([0.9, 0.25])
    second = 0.25 * _softplus(-2.0) + 0.75 * _softplus(2.0)
    assert soft_bce(logits, targets).item() == pytest.approx((math.log(2) + second) / 2)


def test_ranknet_weighs_each_pair_by_its_grade_difference():
    """Targets 1, .5, 0 and logits 1, 3, 0, one list.

    Pairs (0,1) .5 softplus(2), (0,2) 1 softplus(-1), (1,2) .5 softplus(-3), over weights of 2.
    """
    logits, targets = torch.tensor([1.0, 3.0, 0.0]), torch.tensor([1.0, 0.5, 0.0])
    expected = (0.5 * _softplus(2.0) + _softplus(-1.0) + 0.5 * _softplus(-3.0)) / 2
    loss = ranknet(logits, targets, torch.zeros(3, dtype=torch.long))
    assert loss.item() == pytest.approx(expected)


def test_ranknet_never_pairs_products_of_two_queries():
    """Two lists of two: only the pairs inside a list count, both with weight 1."""
    logits = torch.tensor([2.0, 0.0, -5.0, 5.0])
    targets = torch.tensor([1.0, 0.0, 1.0, 0.0])
    loss = ranknet(logits, targets, torch.tensor([0, 0, 1, 1]))
    assert loss.item() == pytest.approx((_softplus(-2.0) + _softplus(10.0)) / 2)


def test_ranknet_of_equal_grades_is_0_and_has_no_gradient():
    """A step whose lists say nothing about order moves no weight, and is no NaN."""
    logits = torch.tensor([1.0, 2.0], requires_grad=True)
    loss = ranknet(logits, torch.tensor([0.5, 0.5]), torch.tensor([0, 0]))
    loss.backward()
    assert loss.item() == 0.0
    assert logits.grad.tolist() == [0.0, 0.0]


def test_margin_mse_is_the_mean_over_all_ordered_pairs():
    """Residuals 1, 0, 3: squared differences 1, 4, 9, each in both orders: 28 / 6.

    The lists count equally: a second list of residuals 0, 2 has 4, the mean is 26 / 6.
    """
    teacher = torch.tensor([5.0, 4.0, 1.0, 7.0, 7.0])
    logits = teacher + torch.tensor([1.0, 0.0, 3.0, 0.0, 2.0])
    one = margin_mse(logits[:3], teacher[:3], torch.zeros(3, dtype=torch.long))
    both = margin_mse(logits, teacher, torch.tensor([4, 4, 4, 9, 9]))
    assert one.item() == pytest.approx(28 / 6)
    assert both.item() == pytest.approx((28 / 6 + 4) / 2)


def test_margin_mse_leaves_each_query_its_own_offset():
    """A logit shifted by a constant within each query costs nothing."""
    teacher = torch.tensor([1.0, 2.0, 3.0, 9.0])
    shifted = teacher + torch.tensor([5.0, 5.0, -7.0, -7.0])
    assert margin_mse(shifted, teacher, torch.tensor([0, 0, 1, 1])).item() == pytest.approx(0.0)


def test_margin_mse_of_single_products_is_0():
    """A list of one has no margin; alone it is 0, beside others it does not count."""
    single = margin_mse(torch.tensor([3.0]), torch.tensor([0.0]), torch.tensor([0]))
    assert single.item() == 0.0
    beside = margin_mse(torch.tensor([3.0, 1.0, 0.0]), torch.zeros(3), torch.tensor([0, 1, 1]))
    assert beside.item() == pytest.approx(1.0)


def test_losses_by_the_names_of_a_recipe():
    """mse: (1 - 3)^2 and (0 - 1)^2, their mean 2.5; bce: log 2 at logit 0 whatever the share.

    A pointwise term of .5 beside ranknet adds half of the cross-entropy.
    """
    one_list = torch.zeros(2, dtype=torch.long)
    found = loss("mse", 0.0, torch.tensor([1.0, 0.0]), torch.tensor([3.0, 1.0]), one_list)
    assert found.item() == pytest.approx(2.5)
    logits, shares = torch.zeros(2), torch.tensor([0.9, 0.1])
    assert loss("bce", 0.0, logits, shares, one_list).item() == pytest.approx(math.log(2))
    both = loss("ranknet", 0.5, logits, shares, one_list).item()
    assert both == pytest.approx(1.5 * math.log(2))


def test_a_loss_that_the_outputs_have_no_form_for_is_refused():
    """Cross-entropy over classes of one output, and of two classes one by one."""
    lists, shares = torch.zeros(2, dtype=torch.long), torch.tensor([0.9, 0.1])
    with pytest.raises(ValueError, match="'cross-entropy' is for several classes"):
        loss("cross-entropy", 0.0, torch.zeros(2), shares, lists)
    with pytest.raises(ValueError, match="'bce' is for one output"):
        loss("bce", 0.0, torch.zeros(2, 2), shares, lists)


@pytest.mark.parametrize(
    "loss",
    [lambda x, y, _: soft_bce(x, y), ranknet, margin_mse],
    ids=["soft_bce", "ranknet", "margin_mse"],
)
def test_gradients_are_those_of_finite_differences(loss):
    """Autograd against central differences in 64 bits, on three lists of mixed lengths."""
    generator = torch.Generator().manual_seed(3)
    logits = torch.randn(9, generator=generator, dtype=torch.float64, requires_grad=True)
    targets = torch.rand(9, generator=generator, dtype=torch.float64)
    lists = torch.tensor([0, 0, 0, 0, 1, 2, 2, 2, 2])
    assert torch.autograd.gradcheck(lambda x: loss(x, targets, lists), (logits,))
