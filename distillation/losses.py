"""Losses over the products of queries: one function a loss, each a scalar tensor.

A batch is flat: `logits` and `targets` have shape ``(pairs,)``, and `lists`, of the same shape,
holds the number of the query's list that a pair belongs to. Pairs of two lists never meet.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional


def soft_bce(logits: Tensor, targets: Tensor) -> Tensor:
    """Binary cross-entropy with soft targets in 0..1, the mean over pairs.

    Ties the logit to the judges' scale; its minimum is the entropy of the targets, not 0.
    """
    return functional.binary_cross_entropy_with_logits(logits, targets)


def ranknet(logits: Tensor, targets: Tensor, lists: Tensor) -> Tensor:
    """RankNet over the products of each query, weighted by how far apart the grades are.

    For i above j in one list: (target_i - target_j) * log(1 + exp(logit_j - logit_i)); the sum is
    divided by the sum of the weights. 0 where no list has two grades. Burges et al. 2005.
    """
    same = lists[:, None] == lists[None, :]
    weights = (targets[:, None] - targets[None, :]).clamp(min=0) * same
    losses = functional.softplus(logits[None, :] - logits[:, None])
    return (weights * losses).sum() / weights.sum().clamp(min=torch.finfo(weights.dtype).tiny)


def margin_mse(logits: Tensor, teacher: Tensor, lists: Tensor) -> Tensor:
    """Mean squared error of the margins between all pairs of products of a query.

    The mean over ordered pairs i != j of ((logit_i - logit_j) - (teacher_i - teacher_j))^2 equals
    twice the unbiased variance of logit - teacher within the list, so no pair is ever formed.
    Lists count equally, lists of one product not at all. Hofstaetter et al. 2020, over all pairs.
    """
    residual = logits - teacher
    numbers, index = torch.unique(lists, return_inverse=True)
    counts = torch.zeros(len(numbers), dtype=residual.dtype).index_add(
        0, index, torch.ones_like(residual)
    )
    sums = torch.zeros_like(counts).index_add(0, index, residual)
    deviations = residual - (sums / counts)[index]
    squares = torch.zeros_like(counts).index_add(0, index, deviations.square())
    variances = squares / (counts - 1).clamp(min=1)
    return 2 * variances.sum() / (counts > 1).sum().clamp(min=1)
