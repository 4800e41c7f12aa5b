"""A prompt around a query and a product, as token rows that share their beginning."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from distillation.teachers.contract import Pair
from rerank_core.errors import ConfigError
from rerank_core.hashing import hash_json
from rerank_core.text import PackedTokens, ProductTextRecipe, clean

_SHAPE = re.compile(r"(?s)(.*)\{query\}(.*)\{product\}(.*)")


class Prompt:
    """Text before, between and after a query and a product; each of the two cut to its limit."""

    def __init__(
        self, template: str, recipe: ProductTextRecipe, grades: Sequence[str] = ()
    ) -> None:
        """Raises `ConfigError` unless {query} comes before {product}.

        Rows of a query then begin alike, which prefix caches need.
        """
        found = _SHAPE.fullmatch(template)
        if found is None or "{" in "".join(found.groups()):
            raise ConfigError(f"prompt {template!r}: needs {{query}}, then {{product}}, once each")
        self.before, self.between, self.after = found.groups()
        self.recipe = recipe
        self.hash = hash_json([template, recipe.hash, list(grades), "spaces lead"])

    def rows(self, tokenizer: Any, pairs: Sequence[Pair]) -> PackedTokens:
        """One row a pair, by a Hugging Face tokenizer: the tokens of the whole text, unless cut.

        A space before a query or a product is part of its first word, as tokenizers of LLMs
        have it; apart from it the word would be other tokens.
        """
        (before, of_query), (between, of_product) = map(_end_space, (self.before, self.between))
        fixed = _ids(tokenizer, [before, between, self.after])
        queries = _ids(tokenizer, [of_query + clean(pair.query) for pair in pairs])
        products = _ids(tokenizer, [of_product + clean(pair.product) for pair in pairs])
        most = self.recipe.query_tokens, self.recipe.product_tokens
        return PackedTokens.pack(
            [
                [*fixed[0], *query[: most[0]], *fixed[1], *product[: most[1]], *fixed[2]]
                for query, product in zip(queries, products, strict=True)
            ]
        )

    def text(self, pair: Pair, words: tuple[int, int]) -> str:
        """The prompt for a server; query and product are cut to so many words."""
        query = " ".join(pair.query.split()[: words[0]])
        product = " ".join(pair.product.split()[: words[1]])
        return f"{self.before}{query}{self.between}{product}{self.after}"


def _end_space(part: str) -> tuple[str, str]:
    """A part of the template, and the space at its end."""
    return (part[:-1], " ") if part.endswith(" ") else (part, "")


def _ids(tokenizer: Any, texts: Sequence[str]) -> list[list[int]]:
    rows: list[list[int]] = tokenizer(list(texts), add_special_tokens=False)["input_ids"]
    return rows
