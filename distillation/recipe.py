"""The training recipe: one TOML file that says everything a run depends on."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from pydantic import ConfigDict

from distillation.precision import Precision
from distillation.tables import read_table
from rerank_core.measures import Scale
from rerank_core.text import ProductTextRecipe

_STRICT = ConfigDict(extra="forbid", strict=True)


@dataclass(frozen=True)
class Labels:
    """The graded judgments, and how many of a query's products one step looks at."""

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT

    floor: float
    top: float
    train: str = "train"
    """Split to learn from."""
    dev: str = "dev"
    """Split whose first half (by hash of the query) chooses the checkpoint."""
    list_products: int = 16
    """Most products of a query in one step; longer lists are drawn anew each epoch."""

    def __post_init__(self) -> None:
        _demand(self.floor < self.top, "floor must be below top")
        _demand(self.list_products >= 2, "list_products: a list needs 2 products or more")

    @property
    def scale(self) -> Scale:
        """What the scores are worth."""
        return Scale(self.floor, self.top)


@dataclass(frozen=True)
class Anchor:
    """Unlabelled lists on which the student keeps to the order of the bi-encoder it came from.

    Human labels of one shop teach one shop's language; the anchor holds the rest in place.
    """

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT

    warmup_steps: int
    """Steps at the start that see anchor lists only: the new head learns to match at all."""
    every: int
    """Thereafter each so-many-th step is an anchor step; 0 for none."""
    weight: float
    """Of the anchor loss against the loss on labels, after the warm-up."""
    list_products: int = 10
    scale: float = 10.0
    """A cosine difference of 1 is this many logits."""

    def __post_init__(self) -> None:
        _demand(self.warmup_steps >= 0 and self.every >= 0, "steps are 0 or more")
        _demand(self.weight > 0 and self.scale > 0, "weight and scale are above 0")
        _demand(self.list_products >= 2, "list_products: a list needs 2 products or more")


@dataclass(frozen=True)
class Optimiser:
    """AdamW, linear warm-up and linear decay to 0, gradients clipped by norm."""

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT

    learning_rate: float
    head_learning_rate: float
    """Of the pooler and the classifier: new, so they may move faster."""
    epochs: float
    """Passes over the labelled lists."""
    pairs_a_step: int = 48
    """Lists are put together until a step has so many pairs."""
    layer_decay: float = 1.0
    """Each layer further down learns by this factor slower."""
    warmup_share: float = 0.1
    weight_decay: float = 0.01
    clip_norm: float = 1.0
    average: float = 0.0
    """Decay of the moving average of weights that is evaluated and published; 0 for none."""

    def __post_init__(self) -> None:
        _demand(self.learning_rate > 0, "learning_rate: must be above 0")
        _demand(self.head_learning_rate > 0, "head_learning_rate: must be above 0")
        _demand(self.epochs > 0, "epochs: must be above 0")
        _demand(self.pairs_a_step >= 2, "pairs_a_step: must be 2 or more")
        _demand(0 < self.layer_decay <= 1, "layer_decay: above 0, at most 1")
        _demand(0 <= self.warmup_share < 1, "warmup_share: 0 or more, below 1")
        _demand(self.weight_decay >= 0, "weight_decay: 0 or more")
        _demand(self.clip_norm > 0, "clip_norm: must be above 0")
        _demand(0 <= self.average < 1, "average: 0 or more, below 1")


@dataclass(frozen=True)
class TrainingRecipe:
    """Everything a training run depends on, save the data itself."""

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT

    name: str
    text: ProductTextRecipe
    labels: Labels
    optimiser: Optimiser
    seed: int = 0
    base: str = "minilm"
    """Folder to start from, or a name that `rerank_core.artifact.named_folder` knows."""
    layers: int | None = None
    """Keep the first so many layers; all of them where it is not given."""
    pointwise: float = 0.3
    """Weight of the pointwise loss beside RankNet's 1."""
    anchor: Anchor | None = None
    evaluate_every: int = 500
    """Steps between evaluations on the choosing half of dev; a checkpoint is kept at each."""
    precision: Precision = "auto"
    """Of the matrix products while training; weights and losses are always float32."""

    def __post_init__(self) -> None:
        _demand(bool(self.name), "name: must not be empty")
        _demand(self.layers is None or self.layers > 0, "layers: must be above 0")
        _demand(self.pointwise >= 0, "pointwise: 0 or more")
        _demand(self.evaluate_every > 0, "evaluate_every: must be above 0")


def read_recipe(path: Path) -> TrainingRecipe:
    """The recipe in a TOML file. Raises `ConfigError` naming the file and each wrong key."""
    return read_table(TrainingRecipe, path)


def _demand(holds: bool, message: str) -> None:  # noqa: FBT001 - a condition
    if not holds:
        raise ValueError(message)  # pydantic adds the path of the table
