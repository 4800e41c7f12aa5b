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


def star_margin_mse(logits: Tensor, teacher: Tensor, lists: Tensor) -> Tensor:
    """Squared errors of the margins between a query's best product by the teacher and each other.

    What trainers of (query, positive, negatives) compute; for ablation. Lists count equally.
    """
    numbers, index = torch.unique(lists, return_inverse=True)
    residual = logits - teacher
    errors = []
    for number in range(len(numbers)):
        rows = (index == number).nonzero().squeeze(-1)
        if len(rows) > 1:
            best = teacher[rows].argmax()
            margins = residual[rows[best]] - residual[rows]
            errors.append(margins.square().sum() / (len(rows) - 1))
    return torch.stack(errors).mean() if errors else residual.sum() * 0


def listnet(logits: Tensor, targets: Tensor, lists: Tensor) -> Tensor:
    """Cross-entropy between the softmax of targets and of logits within a list. Cao et al. 2007."""
    numbers, index = torch.unique(lists, return_inverse=True)
    total = logits.sum() * 0
    for number in range(len(numbers)):
        rows = index == number
        total = total - (targets[rows].softmax(0) * logits[rows].log_softmax(0)).sum()
    return total / len(numbers)


def grade_shares(targets: Tensor, classes: int) -> Tensor:
    """A share of the scale as a distribution over `classes` grades, shape ``(pairs, classes)``.

    A rater mean between two grades is split between them, so that its expectation is kept.
    """
    place = targets.clamp(0, 1) * (classes - 1)
    low = place.floor().clamp(max=classes - 2).long()
    upper = place - low
    shares = torch.zeros(len(targets), classes)
    shares.scatter_(1, low[:, None], (1 - upper)[:, None])
    return shares.scatter_add_(1, low[:, None] + 1, upper[:, None])


def relevance(outputs: Tensor) -> Tensor:
    """One logit a pair: the output itself, or that of the expected share under K classes."""
    if outputs.ndim == 1:
        return outputs
    grades = torch.linspace(0, 1, outputs.shape[1])
    share = (outputs.softmax(1) * grades).sum(1)
    return torch.logit(share, eps=1e-6)


def loss(name: str, pointwise: float, outputs: Tensor, targets: Tensor, lists: Tensor) -> Tensor:
    """The named loss, and `pointwise` times cross-entropy with the soft target beside it.

    Under K classes the pointwise term is that of the K-class distribution. Targets of it are shares
    in 0..1: with others it has no lower bound. Raises `ValueError` for a name that is of no loss,
    or not for outputs of this form.
    """
    if name == "cross-entropy" and outputs.ndim == 1:
        raise ValueError(f"{name!r} is for several classes, and there is one output")
    if name == "bce" and outputs.ndim == 2:
        raise ValueError(f"{name!r} is for one output, and there are {outputs.shape[1]} classes")
    logits = relevance(outputs)
    if outputs.ndim == 2:
        point = functional.cross_entropy(outputs, grade_shares(targets, outputs.shape[1]))
    else:
        point = soft_bce(logits, targets) if pointwise or name == "bce" else logits.sum() * 0
    match name:
        case "bce" | "cross-entropy":
            return point
        case "ranknet":
            relative = ranknet(logits, targets, lists)
        case "margin-mse":
            relative = margin_mse(logits, targets, lists)
        case "star-margin-mse":
            relative = star_margin_mse(logits, targets, lists)
        case "mse":
            relative = functional.mse_loss(logits, targets)
        case "listnet":
            relative = listnet(logits, targets, lists)
        case _:
            raise ValueError(f"no loss named {name!r}")
    return relative + pointwise * point
