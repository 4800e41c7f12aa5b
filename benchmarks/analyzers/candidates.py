"""What is compared with the shipped lexical leg: one change of it at a time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from index_builder.schema import BEIR

SHIPPED = "shipped"

_UNITS = "in|inch|inches|ft|foot|feet|mm|cm|m|oz|lb|lbs|gal|v|volt|w|watt|a|amp|gb|tb|hz|mhz|ghz"

FILTERS: Mapping[str, Mapping[str, Any]] = {
    "light": {"type": "stemmer", "language": "light_english"},  # kstem by its other name
    "minimal": {"type": "stemmer", "language": "minimal_english"},
    "stop": {"type": "stop", "stopwords": "_english_"},
    "parts": {"type": "word_delimiter_graph", "preserve_original": True},
    "trigrams": {"type": "ngram", "min_gram": 3, "max_gram": 3},
}
CHAR_FILTERS: Mapping[str, Mapping[str, Any]] = {
    # 12 in. as 12in, so that the number stands for a length.
    "units": {
        "type": "pattern_replace",
        "pattern": rf"(?i)\b(\d+(?:[./]\d+)?)[ -]?({_UNITS})\b\.?",
        "replacement": "$1$2",
    },
    # 2 x 4 as 2x4.
    "dimensions": {
        "type": "pattern_replace",
        "pattern": r"(?i)(?<=\d) ?x ?(?=\d)",
        "replacement": "x",
    },
}
ANALYZERS: Mapping[str, Mapping[str, Any]] = {
    "unstemmed": {"tokenizer": "standard", "filter": ["lowercase", "asciifolding"]},
    "light": {"tokenizer": "standard", "filter": ["lowercase", "light", "asciifolding"]},
    "minimal": {"tokenizer": "standard", "filter": ["lowercase", "minimal", "asciifolding"]},
    "kstem": {"tokenizer": "standard", "filter": ["lowercase", "kstem", "asciifolding"]},
    "stop": {"tokenizer": "standard", "filter": ["lowercase", "stop", "stem", "asciifolding"]},
    "parts": {
        "tokenizer": "whitespace",
        "filter": ["parts", "flatten_graph", "lowercase", "stem", "asciifolding"],
    },
    "units": {
        "char_filter": ["units", "dimensions"],
        "tokenizer": "standard",
        "filter": ["lowercase", "stem", "asciifolding"],
    },
    "trigrams": {"tokenizer": "standard", "filter": ["lowercase", "asciifolding", "trigrams"]},
}
"""By the sub-field that they stand in, below each field of words."""

BOOSTS = {
    name: kind.boost for name, kind in BEIR.fields.items() if kind.type in ("text", "keyword")
}


@dataclass(frozen=True, slots=True)
class Candidate:
    """A lexical query: which sub-field of each field, and how words are matched in them."""

    name: str
    below: str = ""
    """Sub-field; empty: as shipped."""
    boosts: Mapping[str, float] = field(default_factory=lambda: BOOSTS, hash=False)
    match: Mapping[str, Any] = field(default_factory=dict, hash=False)
    """Of the match by any word, beside the query and fields."""
    all_words_boost: float = 2.0
    phrase_boost: float = 0.0
    trigrams: float = 0.0
    """Boost of the title's trigrams, which are searched beside the words."""

    def body(self, query: str, size: int) -> dict[str, Any]:
        """A search, as the template ``lexical`` renders it but for the change."""
        fields = [f"{name}.{self.below}" if self.below else name for name in self.boosts]
        boosted = [
            f"{name}^{boost:g}" for name, boost in zip(fields, self.boosts.values(), strict=True)
        ]
        beside = [f"title.trigrams^{self.trigrams:g}"] if self.trigrams else []
        any_word = {"query": query, "type": "cross_fields", "fields": [*boosted, *beside]}
        all_words = {**any_word, "operator": "and", "boost": self.all_words_boost}
        should: list[dict[str, Any]] = [{"multi_match": all_words}]
        if self.phrase_boost:
            phrase = {"query": query, "type": "phrase", "fields": boosted}
            should.append({"multi_match": {**phrase, "boost": self.phrase_boost}})
        return {
            "size": size,
            "_source": False,
            "query": {
                "bool": {"must": {"multi_match": {**any_word, **self.match}}, "should": should}
            },
        }


def candidates() -> tuple[Candidate, ...]:
    """The shipped one first, so that it wins a tie."""
    return (Candidate(SHIPPED), *_analyzers(), *_forms(), *_boosts())


def _analyzers() -> Iterator[Candidate]:
    for name in ANALYZERS:
        if name != "trigrams":
            yield Candidate(f"analyzer {name}", below=name)
    for boost in (0.1, 0.2, 0.3):
        yield Candidate(f"trigrams {boost:g}", trigrams=boost)


def _forms() -> Iterator[Candidate]:
    for kind in ("best_fields", "most_fields"):
        yield Candidate(f"type {kind}", match={"type": kind})
    yield Candidate("tie_breaker 0.3", match={"tie_breaker": 0.3})
    yield Candidate("minimum_should_match 50%", match={"minimum_should_match": "50%"})
    for boost in (0.5, 1.0):
        yield Candidate(f"phrase {boost:g}", phrase_boost=boost)
    for boost in (0.5, 4.0):
        yield Candidate(f"all words {boost:g}", all_words_boost=boost)


def _boosts() -> Iterator[Candidate]:
    yield Candidate("equal boosts", boosts=dict.fromkeys(BOOSTS, 1.0))
    for name, boost in (("title", 2.0), ("title", 5.0), ("brand", 1.0), ("brand", 4.0)):
        yield Candidate(f"{name} {boost:g}", boosts={**BOOSTS, name: boost})
    yield Candidate("category 2", boosts={**BOOSTS, "category": 2.0})
