"""Texts and (query, product) pairs as the token rows a BERT encoder reads."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from threading import Lock

import numpy as np
from tokenizers import Tokenizer

from rerank_core.errors import ArtifactError
from rerank_core.text.cache import TokenCache, text_key
from rerank_core.text.recipe import ProductTextRecipe, clean
from rerank_core.text.tokens import Ids, PackedTokens

# A token stands for four characters on average; at 32 a token the cut by tokens comes first on
# any text that has words, and a megabyte of text costs no more than a page.
_CHARACTERS_PER_TOKEN = 32

# 40,000 products of 128 tokens, or 80,000 titles.
_CACHE_BYTES = 32 * 2**20


def _head(text: str, characters: int) -> str:
    """The first `characters` of the clean text, read no further than they reach."""
    taken = characters
    head = clean(text[:taken])
    while len(head) < characters and taken < len(text):  # white space fell out
        taken *= 2
        head = clean(text[:taken])
    return head[:characters]


class TextEncoder:
    """Composes model input: ``[CLS] query [SEP] product [SEP]`` and ``[CLS] text [SEP]``.

    Only the ends are cut, each part to its own limit in the recipe: a long product never shortens
    the query. Words such as ``[SEP]`` inside a text are plain text. The tokenizer works without
    Python's lock.
    """

    def __init__(
        self, tokenizer_json: str, recipe: ProductTextRecipe, cache_bytes: int = _CACHE_BYTES
    ) -> None:
        """Takes the content of a `tokenizer.json`; raises `ArtifactError` if it is none.

        Tokens of products that are paired are remembered in at most `cache_bytes`.
        """
        try:
            tokenizer = Tokenizer.from_str(tokenizer_json)
            tokenizer.no_truncation()
            tokenizer.no_padding()
            frame = tokenizer.encode("", "")
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException as error:  # tokenizers raises bare Exception, its panics are not even
            raise ArtifactError(f"tokenizer.json: {error}") from error
        if len(frame.ids) != 3 or frame.type_ids != [0, 0, 1]:
            raise ArtifactError(
                "tokenizer.json: not of the BERT family: an empty pair must become "
                f"[CLS] [SEP] [SEP], it became {frame.tokens}"
            )
        unknown = getattr(tokenizer.model, "unk_token", None)
        if unknown is not None and tokenizer.model.token_to_id(unknown) is None:
            raise ArtifactError(
                f"tokenizer.json: {unknown}, which stands for what is not in the vocabulary, is "
                "not in it"
            )
        self._begin, self._end = (np.array([one], np.int32) for one in frame.ids[:2])
        tokenizer.encode_special_tokens = True
        self._tokenizer = tokenizer
        self.recipe = recipe
        self.cache = TokenCache(cache_bytes)

    @property
    def vocabulary_size(self) -> int:
        """One more than the largest id, added tokens included."""
        return 1 + max(self._tokenizer.get_vocab().values())

    def query_ids(self, query: str) -> Ids:
        """Ids of the query, cut to the recipe's limit, without special tokens."""
        return self._ids([query], self.recipe.query_tokens)[0]

    def product_ids(self, texts: Sequence[str]) -> list[Ids]:
        """Ids of product texts, cut to the recipe's limit, without special tokens."""
        keys = [text_key(text) for text in texts]
        found = self.cache.get(keys)
        missing = [place for place, ids in enumerate(found) if ids is None]
        made = self._ids([texts[place] for place in missing], self.recipe.product_tokens)
        for place, ids in zip(missing, made, strict=True):
            found[place] = ids
        self.cache.put((keys[place], ids) for place, ids in zip(missing, made, strict=True))
        return [ids for ids in found if ids is not None]

    def _ids(self, texts: Sequence[str], limit: int) -> list[Ids]:
        if not texts:
            return []
        characters = limit * _CHARACTERS_PER_TOKEN
        batch = self._tokenizer.encode_batch_fast(
            [_head(text, characters) for text in texts], add_special_tokens=False
        )
        return [np.array(encoding.ids[:limit], np.int32) for encoding in batch]

    def pairs(self, query: str, products: Sequence[str]) -> PackedTokens:
        """One row a product, in their order."""
        return self.pairing(query)(products)

    def pairing(self, query: str) -> Callable[[Sequence[str]], PackedTokens]:
        """`pairs` for products that come in parts; the query is tokenised once, at the first."""
        alone = Lock()  # workers begin parts side by side

        @cache
        def tokenised() -> Ids:
            return np.concatenate((self._begin, self.query_ids(query), self._end))

        def head() -> Ids:
            with alone:
                return tokenised()

        def pair(products: Sequence[str]) -> PackedTokens:
            begin = head()
            return PackedTokens.framed(begin, self.product_ids(products), self._end, len(begin))

        return pair

    def texts(self, texts: Sequence[str]) -> PackedTokens:
        """One row a text, in their order, each read as a product. Nothing of it is remembered."""
        ids = self._ids(texts, self.recipe.product_tokens)
        return PackedTokens.framed(self._begin, ids, self._end)
