"""`rerank_manifest.json`: what a model is, what it reads, where it comes from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, ClassVar, Literal

from pydantic import ConfigDict

from rerank_core.hashing import hash_json
from rerank_core.text import ProductTextRecipe

MANIFEST_NAME = "rerank_manifest.json"
FORMAT: Literal[1] = 1
"""Rises when a reader of the format before could misread the new one."""

Kind = Literal["cross-encoder", "bi-encoder"]
_STRICT = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)


@dataclass(frozen=True)
class Output:
    """Which number of the model is the relevance, and how it becomes 0..1."""

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT

    label: str = "relevance"
    index: int = 0
    """Which of the classifier's outputs is the relevance."""
    activation: Literal["sigmoid", "softmax", "identity"] = "sigmoid"
    """What training put on the outputs. Ranking is by the logit: under ``softmax`` the log odds of
    this output against all others, else the output itself."""


@dataclass(frozen=True)
class ProbabilityCalibration:
    """Platt scaling: probability = 1 / (1 + exp(-(slope * logit + intercept)))."""

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT

    slope: float
    intercept: float
    data: str
    """The labels it was fitted on."""


@dataclass(frozen=True)
class Metric:
    """One measured figure with the data it was measured on."""

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT

    measure: str
    data: str
    protocol: Literal["judged list", "funnel"]
    value: float
    queries: int


@dataclass(frozen=True)
class Licence:
    """Terms of the weights; `notice` is shown at load where it is not empty."""

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT

    name: str
    notice: str = ""


@dataclass(frozen=True)
class Manifest:
    """Everything about a model that its weights do not say."""

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT

    format: Literal[1]
    name: str
    kind: Kind
    model_hash: str
    """Over weights, tokenizer, config, recipe and output: what decides a score. 64 hex digits."""
    files: Mapping[str, str]
    """sha256 by path within the folder."""
    recipe: ProductTextRecipe
    output: Output = field(default_factory=Output)
    probability: ProbabilityCalibration | None = None
    quantisation: Mapping[str, Any] | None = None
    """Calibration of int8 paths, where there is one."""
    metrics: tuple[Metric, ...] = ()
    lineage: Mapping[str, Any] = field(default_factory=dict)
    """Base model, data hashes, seed, library versions, machine, time."""
    licence: Licence = field(default_factory=lambda: Licence(name="unknown"))


def model_hash(
    files: Mapping[str, str], kind: Kind, recipe: ProductTextRecipe, output: Output
) -> str:
    """Equal for folders that give every pair the same score by the same numeric path."""
    return hash_json(
        {"files": dict(files), "kind": kind, "recipe": asdict(recipe), "output": asdict(output)}
    )
