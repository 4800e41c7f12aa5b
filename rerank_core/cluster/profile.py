"""A profile: what a caller may search, and how, as the shop's search team wrote it down."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar, Literal

from pydantic import ConfigDict

from rerank_core.cluster.alias import check_alias
from rerank_core.errors import ConfigError

Leg = Literal["lexical", "vector"]

_MOST_CANDIDATES = 1000
_STRICT = ConfigDict(extra="forbid")


@dataclass(frozen=True)
class FilterRule:
    """A filter callers may use: the index field behind its name, and the conditions it takes."""

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT

    field: str
    """Such as ``brand.keyword``."""
    kind: Literal["values", "range"] = "values"

    def __post_init__(self) -> None:
        if not self.field:
            raise ConfigError("filter: field is empty; name a field of the index")


@dataclass(frozen=True)
class FacetRule:
    """A facet callers may ask for: counts of a keyword field's values among the matches."""

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT

    field: str
    size: int = 10
    """Most values returned, the most frequent first."""

    def __post_init__(self) -> None:
        if not self.field:
            raise ConfigError("facet: field is empty; name a field of the index")
        if not 1 <= self.size <= _MOST_CANDIDATES:
            raise ConfigError(f"facet {self.field}: size must be 1 to {_MOST_CANDIDATES}")


@dataclass(frozen=True)
class Profile:
    """One way to search, owned by the server; callers name it and nothing below it."""

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT

    alias: str
    """Alias of the products; it leads to exactly one index."""
    legs: Mapping[Leg, float] = field(default_factory=lambda: {"lexical": 1.0, "vector": 1.0})
    """Which legs run, and their weights in the fusion."""
    depth: int = 100
    """Candidates of each leg, and most candidates that are fused and reranked."""
    page_size: int = 10
    """Hits of a page where the caller does not say."""
    fields: tuple[str, ...] = ("title", "brand")
    """Stored fields that hits carry."""
    filters: Mapping[str, FilterRule] = field(default_factory=dict)
    facets: Mapping[str, FacetRule] = field(default_factory=dict)
    reranker: str = ""
    """Name of a loaded cross-encoder; empty is the default one."""

    def __post_init__(self) -> None:
        check_alias(self.alias)
        where = f"profile of alias {self.alias}"
        if not 1 <= self.depth <= _MOST_CANDIDATES:
            raise ConfigError(f"{where}: depth must be 1 to {_MOST_CANDIDATES}, it is {self.depth}")
        if not 1 <= self.page_size <= self.depth:
            raise ConfigError(
                f"{where}: page_size must be 1 to depth {self.depth}, it is {self.page_size}"
            )
        if "lexical" not in self.legs:
            raise ConfigError(
                f"{where}: legs must name lexical; it answers where no loaded bi-encoder built "
                "the index"
            )
        for leg, weight in self.legs.items():
            if not 0 < weight < float("inf"):
                raise ConfigError(f"{where}: weight of leg {leg} must be above 0, it is {weight}")
