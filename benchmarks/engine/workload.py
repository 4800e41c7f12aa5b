"""What is scored: real queries with products of the same catalogue, drawn with a fixed seed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from tokenizers import Tokenizer

from rerank_core.errors import ConfigError
from rerank_core.measures import BeirFolder
from rerank_core.text import PackedTokens, ProductTextRecipe, TextEncoder

PRODUCT_TOKENS = 128
_SEED = 4


@dataclass(frozen=True)
class Request:
    """A query and its candidates, as texts and as the rows a cross-encoder reads."""

    query: str
    texts: tuple[str, ...]
    tokens: PackedTokens


@dataclass(frozen=True)
class Workload:
    """Requests of one kind of text."""

    name: str
    about: str
    text: TextEncoder
    requests: tuple[Request, ...]

    def at(self, number: int) -> Request:
        """The request of a round; they take turns."""
        return self.requests[number % len(self.requests)]

    @property
    def tokens_a_pair(self) -> float:
        """Mean over all requests."""
        return float(np.mean(np.concatenate([one.tokens.lengths for one in self.requests])))


def draw(
    folder: BeirFolder, tokenizer_json: str, *, requests: int, candidates: int
) -> tuple[Workload, Workload]:
    """W1, titles, and W2, titles with their text: the same queries and products in both.

    No text has more than 128 tokens, so whoever reads it cuts nothing. Raises `ConfigError` where
    the folder holds too few.
    """
    queries, products = folder.queries(), folder.products()
    if not queries or len(products) < candidates:
        raise ConfigError(
            f"{folder.path}: {len(queries)} queries, {len(products)} products; a benchmark needs a "
            f"query and {candidates} products, give another folder or --candidates"
        )
    random = np.random.default_rng(_SEED)
    texts = sorted({text for text in queries.values() if text.strip()})
    chosen = [texts[place] for place in random.permutation(len(texts))[:requests]]
    names = sorted(products)
    drawn = [
        [products[names[place]] for place in random.choice(len(names), candidates, replace=False)]
        for _ in chosen
    ]
    cutter = Tokenizer.from_str(tokenizer_json)
    cutter.no_truncation()  # the file may hold one, and padding
    cutter.no_padding()

    def workload(name: str, about: str, *fields: str) -> Workload:
        recipe = ProductTextRecipe(fields=fields, product_tokens=PRODUCT_TOKENS)
        encoder = TextEncoder(tokenizer_json, recipe)
        made = [
            _request(query, group, encoder, cutter)
            for query, group in zip(chosen, drawn, strict=True)
        ]
        return Workload(name, about, encoder, tuple(made))

    return (
        workload("W1", "titles", "title"),
        workload("W2", f"titles and text, to {PRODUCT_TOKENS} tokens", "title", "text"),
    )


def _request(
    query: str, products: Sequence[Mapping[str, Any]], encoder: TextEncoder, cutter: Tokenizer
) -> Request:
    texts = tuple(whole_words(encoder.recipe.compose(product), cutter) for product in products)
    return Request(query, texts, encoder.pairs(query, texts))


def whole_words(text: str, tokenizer: Tokenizer, most_tokens: int = PRODUCT_TOKENS) -> str:
    """The text's first words, as many as `most_tokens` hold."""
    offsets = tokenizer.encode(text, add_special_tokens=False).offsets
    if len(offsets) <= most_tokens:
        return text
    head = text[: offsets[most_tokens][0]]
    if head.endswith(" "):
        return head.rstrip()
    return head.rpartition(" ")[0] or head  # the last word was begun
