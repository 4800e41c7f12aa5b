"""The distillation recipe: one TOML file, a table a stage, in the order they run."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from pydantic import ConfigDict, Field

from distillation.pipeline.demands import STRICT, demand
from distillation.pipeline.fit import Fit
from distillation.pipeline.members import Member
from distillation.tables import merge, read_toml
from rerank_core import records
from rerank_core.artifact import Licence
from rerank_core.errors import ConfigError
from rerank_core.measures import Scale
from rerank_core.text import ProductTextRecipe


@dataclass(frozen=True)
class Source:
    """A BEIR folder under the data root and the scale of its judgments."""

    __pydantic_config__: ClassVar[ConfigDict] = STRICT

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
        demand(self.floor < self.top, "floor must be below top")
        demand(0 <= self.held_out < 1, "held_out: a share, 0 to below 1")
        demand(self.train != self.dev or not self.train, "train and dev: give held_out instead")

    @property
    def scale(self) -> Scale:
        """What the scores are worth."""
        return Scale(self.floor, self.top)


@dataclass(frozen=True)
class Split:
    """What each later stage may see."""

    __pydantic_config__: ClassVar[ConfigDict] = STRICT

    sources: tuple[Source, ...]
    unlabelled: str | None = None
    """Text file under the data root, a query a line."""
    human_queries: int | None = None
    """Train queries of each source whose judgments are seen, the first by hash; all without it."""
    keep_near_duplicates: Annotated[bool, Field(exclude_if=lambda kept: kept)] = False
    """Judged train queries that are like a dev query teach, too: for a study begun before they
    were shut out. True says what its absence said then, so that its stages keep their names."""

    def __post_init__(self) -> None:
        demand(bool(self.sources), "sources: name at least one")
        demand(self.human_queries is None or self.human_queries > 0, "human_queries: above 0")


@dataclass(frozen=True)
class Teacher:
    """One teacher or the mean of several."""

    __pydantic_config__: ClassVar[ConfigDict] = STRICT

    members: tuple[Member, ...]
    """Each divided by its spread within the judged queries before the mean is taken."""

    def __post_init__(self) -> None:
        demand(bool(self.members), "members: name at least one")


@dataclass(frozen=True)
class Mine:
    """Queries and the catalogues they are mined over."""

    __pydantic_config__: ClassVar[ConfigDict] = STRICT

    queries: str
    """A source's folder (its hidden train queries) or ``unlabelled``."""
    catalogues: tuple[str, ...]
    judged: bool = False
    """Also the source's queries whose judgments are seen, after the hidden ones."""


@dataclass(frozen=True)
class Pool:
    """Unlabelled pairs: BM25 and bi-encoder neighbours and a few strangers."""

    __pydantic_config__: ClassVar[ConfigDict] = STRICT

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
        demand(self.queries >= 1, "queries: 1 or more")
        demand(min(self.bm25, self.neighbours, self.random) >= 0, "counts are 0 or more")
        demand(self.bm25 + self.neighbours + self.random >= 2, "a list needs 2 products or more")
        demand(self.depth >= max(self.bm25, self.neighbours), "depth: no less than what is drawn")
        demand(0 < self.near_duplicate <= 1, "near_duplicate: above 0, at most 1")


@dataclass(frozen=True)
class Labels:
    """How much of the pool the teacher labels."""

    __pydantic_config__: ClassVar[ConfigDict] = STRICT

    pairs: int
    """The first so many of the pool."""
    cap: int = 1_000_000
    """Never ask a teacher for more than this."""
    chunk: int = 2_048
    """Pairs a Parquet shard; a kill loses one at most."""

    def __post_init__(self) -> None:
        demand(self.pairs >= 2 and self.chunk >= 1, "pairs: 2 or more, chunk: 1 or more")


@dataclass(frozen=True)
class Student:
    """What is trained, on what."""

    __pydantic_config__: ClassVar[ConfigDict] = STRICT

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

    def __post_init__(self) -> None:
        self.fit.check_outputs(1)
        if self.human is not None:
            self.human.check_outputs(1)
        demand(
            self.learns == "human" or (self.fit.loss != "bce" and not self.fit.pointwise),
            "fit: a teacher's labels are logits, bce and pointwise want shares of 0 to 1; "
            "take margin-mse and pointwise = 0",
        )


@dataclass(frozen=True)
class Ingredient:
    """One of several students whose weights are averaged, each by its steps."""

    __pydantic_config__: ClassVar[ConfigDict] = STRICT

    seed: int
    steps: int
    evaluations: int


@dataclass(frozen=True)
class Publish:
    """What goes out with the weights."""

    __pydantic_config__: ClassVar[ConfigDict] = STRICT

    licence: Licence
    model: str = ""
    """Its name where it is served; empty: the recipe's."""
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

    __pydantic_config__: ClassVar[ConfigDict] = STRICT

    name: str
    split: Split
    teacher: Teacher
    pool: Pool
    labels: Labels
    student: Student
    soup: tuple[Ingredient, ...] = ()
    """Students like `student` but for what is said here, whose mean is taken. Empty: it alone."""
    publish: Publish | None = None
    report: bool = False
    """Open dev-report: only when every choice is made."""

    def __post_init__(self) -> None:
        demand(bool(self.name), "name: must not be empty")
        demand(len(self.soup) != 1, "soup: takes two students or more, or none")
        for one in self.soup:  # what it cannot be is told before anything is trained
            replace(self.student.fit, steps=one.steps, evaluations=one.evaluations)


def read_recipe(path: Path, changes: tuple[str, ...] = ()) -> Recipe:
    """The recipe in a TOML file, over the one its ``extends`` names, with ``key=value`` changes.

    Raises `ConfigError` naming the file and each wrong key.
    """
    at, table = path, read_toml(path)
    while isinstance(table.get("extends"), str):
        at = at.parent / str(table.pop("extends"))
        table = merge(read_toml(at), table)
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
