"""The product text recipe: which fields a model reads, in which order, and how much of them."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import ClassVar

from pydantic import ConfigDict

from rerank_core.errors import ArtifactError, InputError
from rerank_core.hashing import hash_json


@dataclass(frozen=True)
class ProductTextRecipe:
    """How a product becomes text, as data that travels with the model.

    Training, index builder and sidecar compose with the same recipe, so that a product is the
    same text wherever a score or a vector is computed.
    """

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid", strict=True)

    fields: tuple[str, ...]
    """Fields in reading order; what comes first survives the cut."""
    separator: str = " "
    """Between fields."""
    list_separator: str = " "
    """Between the values of one field."""
    query_tokens: int = 32
    """Most tokens of a query; what is longer loses its end."""
    product_tokens: int = 128
    """Most tokens of a product; what is longer loses its end."""

    def __post_init__(self) -> None:
        if not self.fields or len(set(self.fields)) != len(self.fields):
            raise ArtifactError("recipe.fields: name each field once, and at least one")
        if self.query_tokens < 1 or self.product_tokens < 1:
            raise ArtifactError("recipe: query_tokens and product_tokens are at least 1")

    def compose(self, product: Mapping[str, object]) -> str:
        """The product's text, before it is cut by tokens.

        Fields that are missing, null or blank leave no trace, runs of white space and control
        characters become one space. Values are strings, numbers, booleans, or lists of them; of
        anything else no text can be known, and `InputError` names the field.
        """
        parts = (self._field_text(name, product.get(name)) for name in self.fields)
        return self.separator.join(part for part in parts if part)

    def _field_text(self, name: str, value: object) -> str:
        match value:
            case None:
                return ""
            case str():
                return clean(value)
            case bool():
                return "true" if value else "false"
            case int():
                return str(value)
            case float() if math.isfinite(value):
                # 5 and 5.0 are one number in JSON, so they are one text.
                return str(int(value)) if value.is_integer() else str(value)
            case Sequence() if not isinstance(value, bytes | bytearray):
                parts = (self._field_text(name, item) for item in value)
                return self.list_separator.join(part for part in parts if part)
        what = "NaN or infinity" if isinstance(value, float) else f"a {type(value).__name__}"
        raise InputError(
            name, f"must be text, a finite number, true, false or a list of them, it is {what}"
        )

    @cached_property
    def hash(self) -> str:
        """sha256 over the recipe, 64 hex digits."""
        return hash_json(asdict(self))


DEFAULT_RECIPE = ProductTextRecipe(fields=("title", "brand", "color", "category", "text"))
"""For folders that bring no recipe of their own, such as a plain bi-encoder."""


# Control characters that are no white space, and lone surrogates, which no encoding has.
_NO_TEXT = re.compile("[\x00-\x08\x0e-\x1b\x7f-\x84\x86-\x9f\ud800-\udfff]")


def clean(text: str) -> str:
    """`text` with runs of white space, control characters and lone surrogates as one space."""
    return " ".join(_NO_TEXT.sub(" ", text).split())
