"""How one network is trained, as a table of a recipe."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from pydantic import ConfigDict

from distillation.pipeline.demands import STRICT, demand
from distillation.precision import Precision

Loss = Literal["ranknet", "margin-mse", "bce", "cross-entropy", "star-margin-mse", "mse", "listnet"]


@dataclass(frozen=True)
class Fit:
    """One training: AdamW, linear warm-up and decay, gradients clipped by norm."""

    __pydantic_config__: ClassVar[ConfigDict] = STRICT

    steps: int
    loss: Loss
    learning_rate: float
    head_learning_rate: float
    """Of the head, which is new and may move faster."""
    pointwise: float = 0.0
    """Weight of soft-target BCE beside the loss."""
    pairs_a_step: int = 64
    list_products: int = 12
    """Most products of a query in one step; longer lists are drawn anew each time."""
    layer_decay: float = 1.0
    """Each layer further down learns by this factor slower."""
    warmup_share: float = 0.1
    weight_decay: float = 0.01
    clip_norm: float = 1.0
    average: float = 0.0
    """Decay of the moving average of weights that is evaluated and kept; 0 for none."""
    dropout: float = 0.0
    evaluations: int = 4
    """Looks at dev-select, evenly spread; a checkpoint is kept at each."""
    precision: Precision = "auto"

    def __post_init__(self) -> None:
        demand(self.steps >= 1, "steps: 1 or more")
        demand(self.learning_rate > 0 and self.head_learning_rate > 0, "rates are above 0")
        demand(self.pairs_a_step >= 2, "pairs_a_step: 2 or more")
        demand(self.list_products >= 2, "list_products: 2 or more")
        demand(0 < self.layer_decay <= 1, "layer_decay: above 0, at most 1")
        demand(0 <= self.warmup_share < 1, "warmup_share: 0 or more, below 1")
        demand(self.weight_decay >= 0 and self.pointwise >= 0, "weights are 0 or more")
        demand(self.clip_norm > 0, "clip_norm: above 0")
        demand(0 <= self.average < 1 and 0 <= self.dropout < 1, "average, dropout: 0 to below 1")
        demand(1 <= self.evaluations <= self.steps, "evaluations: 1 to steps")

    def check_outputs(self, classes: int) -> None:
        """Raises `ValueError` where the loss is of another form than a head of so many outputs."""
        if classes == 1:
            demand(self.loss != "cross-entropy", "fit.loss: the head has one output, take bce")
        else:
            demand(
                self.loss != "bce", f"fit.loss: the head has {classes} classes, take cross-entropy"
            )
