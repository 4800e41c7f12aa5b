"""A profile: what a caller may search, and how, as the shop's search team wrote it down."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Literal

from pydantic import ConfigDict

from rerank_core.cluster.alias import check_alias
from rerank_core.cluster.fusion import Method
from rerank_core.cluster.weights import read_weights
from rerank_core.errors import ConfigError

Leg = Literal["lexical", "vector"]

SEARCHED = frozenset(
    {"query", "vector", "k", "size", "filters", "facets", "source_fields", "numbers"}
)
"""Parameters that each search fills in itself."""

ASKED: Mapping[str, tuple[str, ...]] = {
    "lexical": ("query", "size", "filters", "facets"),
    "vector": ("vector", "size", "filters"),
    "hybrid": ("query", "vector", "size", "filters", "facets"),
    "zero-results": ("query", "size", "filters"),
}
"""Those of `SEARCHED`, by leg, without which a template would answer another question."""

_MOST_CANDIDATES = 1000
_STRICT = ConfigDict(extra="forbid")


@dataclass(frozen=True)
class FilterRule:
    """A filter callers may use: the index field behind its name, and the conditions it takes."""

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT

    field: str
    """Such as ``brand.keyword``."""
    kind: Literal["values", "range"] = "values"


@dataclass(frozen=True)
class FacetRule:
    """A facet callers may ask for: counts of a keyword field's values among the matches."""

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT

    field: str
    size: int = 10
    """Most values returned, the most frequent first."""


@dataclass(frozen=True)
class Rule:
    """What people decided for some queries: products that stand first, and products that sink."""

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT

    queries: tuple[str, ...] = ()
    """Equal to the query but for case and white space; none: every query."""
    pinned: tuple[str, ...] = ()
    """Keys, in this order before all others, where they pass the filters."""
    buried: tuple[str, ...] = ()
    """Keys, after all others, where they are found at all."""

    def applies(self, query: str) -> bool:
        """Whether it is for this query."""
        return not self.queries or _plain(query) in map(_plain, self.queries)


@dataclass(frozen=True)
class Profile:
    """One way to search, owned by the server; callers name it and nothing below it.

    Raises `ConfigError` naming each fault.
    """

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
    templates: Mapping[Leg, str] = field(default_factory=dict)
    """Which template is a leg's; where not given the one of the leg's name."""
    parameters: Mapping[str, Any] = field(default_factory=dict)
    """Values for what the templates declare, such as a boost."""
    caller_parameters: tuple[str, ...] = ()
    """Those of the templates' parameters that callers may give; they go before `parameters`."""
    fusion: Method = "rrf"
    """rrf: by ranks; minmax: by weighted scores on 0 to 1."""
    native_fusion: Literal["auto", "never"] = "auto"
    """auto: by the cluster itself where it can, and the legs weigh the same; else here."""
    weights_file: Path | None = None
    """What ``python -m benchmarks fusion`` chose: legs, weights and fusion are read from it."""
    zero_results: bool = True
    """Where nothing is found, template zero-results is asked, and the answer says so."""
    reranker: str = ""
    """Name of a loaded cross-encoder; empty is the default one."""
    rerank_depth: int = 0
    """Candidates that are reranked; 0: all. The others follow as the first stage has them."""
    budget_ms: float | None = None
    """Time for a search, where its caller does not give less."""
    blend: float = 0.0
    """Share of the first stage's score in the order of what was reranked, 0 to 1; both scores are
    put on 0 to 1 by the least and the greatest."""
    rules: tuple[Rule, ...] = ()
    collapse: str = ""
    """A stored field, such as a parent's key: the best of those with one value stands for all."""

    def __post_init__(self) -> None:
        faults = []
        if self.weights_file is not None:
            try:
                given = read_weights(self.weights_file)
            except ConfigError as fault:
                faults.append(str(fault))
            else:
                # Read when the settings are; the record stays as it was until they are read again.
                object.__setattr__(self, "legs", dict(given.weights))
                object.__setattr__(self, "fusion", given.method)
        faults += [*self._faults(), *self._field_faults(), *self._order_faults()]
        if faults:
            raise ConfigError(f"profile of alias {self.alias}: {'; '.join(faults)}")

    @property
    def as_json(self) -> str:
        """All of it, equal for equal profiles."""
        return json.dumps(asdict(self), sort_keys=True, default=str)

    def template(self, leg: Leg) -> str:
        """The name of a leg's template."""
        return self.templates.get(leg, leg)

    def _faults(self) -> Iterator[str]:
        try:
            check_alias(self.alias)
        except ConfigError as fault:
            yield str(fault)
        if not 1 <= self.depth <= _MOST_CANDIDATES:
            yield f"depth must be 1 to {_MOST_CANDIDATES}, it is {self.depth}"
        if not 1 <= self.page_size <= self.depth:
            yield f"page_size must be 1 to depth {self.depth}, it is {self.page_size}"
        if "lexical" not in self.legs:
            yield ("legs must name lexical; it answers where no loaded bi-encoder built the index")
        for leg, weight in self.legs.items():
            if not 0 < weight < float("inf"):
                yield f"weight of leg {leg} must be above 0, it is {weight}"
        for leg in self.templates:
            if leg not in self.legs:
                yield f"templates.{leg}: the profile has no such leg"

    def _field_faults(self) -> Iterator[str]:
        for kind, rules in (("filters", self.filters), ("facets", self.facets)):
            for name, rule in rules.items():
                if not rule.field:
                    yield f"{kind}.{name}: field is empty; name a field of the index"
        for name, facet in self.facets.items():
            if not 1 <= facet.size <= _MOST_CANDIDATES:
                yield f"facets.{name}: size must be 1 to {_MOST_CANDIDATES}, it is {facet.size}"

    def _order_faults(self) -> Iterator[str]:
        if not 0 <= self.rerank_depth <= self.depth:
            yield f"rerank_depth must be 0 to depth {self.depth}, it is {self.rerank_depth}"
        if self.budget_ms is not None and not 0 < self.budget_ms < float("inf"):
            yield f"budget_ms must be above 0, it is {self.budget_ms}"
        if not 0 <= self.blend <= 1:
            yield f"blend must be 0 to 1, it is {self.blend}"
        for name in (*self.parameters, *self.caller_parameters):
            if name in SEARCHED:
                yield f"parameter {name} is filled in by every search and cannot be set"
        for number, rule in enumerate(self.rules):
            if not rule.pinned and not rule.buried:
                yield f"rules[{number}]: pins and buries nothing"
            if len(rule.pinned) > self.page_size:
                yield f"rules[{number}]: pins more than a page of {self.page_size}"
            if both := sorted(set(rule.pinned) & set(rule.buried)):
                yield f"rules[{number}]: {both[0]} is pinned and buried"


def _plain(query: str) -> str:
    return " ".join(query.casefold().split())
