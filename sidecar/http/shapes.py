"""What stock clients send: Cohere's, Jina's and TEI's rerank."""

from __future__ import annotations

from typing import Annotated, TypeAlias

from pydantic import BaseModel, ConfigDict, FailFast, Field

# Clients send more than is read here (truncation, embedding types): their configuration is theirs.
_OPEN = ConfigDict(frozen=True, extra="ignore", strict=True, use_attribute_docstrings=True)


class TextDocument(BaseModel):
    """A document in an object."""

    model_config = _OPEN

    text: str
    """What is ranked."""


# Bodies are parsed on the event loop, before the server's own limit on documents: a list ends at
# its first wrong item, or else each of a million would cost two errors; nor is it read for ever.
_MOST_ITEMS = 100_000

Documents: TypeAlias = Annotated[
    list[str | TextDocument], Field(min_length=1, max_length=_MOST_ITEMS), FailFast()
]
_Query: TypeAlias = Annotated[str, Field(pattern=r"\S")]
_TopN: TypeAlias = Annotated[int, Field(ge=1)] | None


class CohereRequest(BaseModel):
    """Cohere's POST /v2/rerank."""

    model_config = _OPEN

    model: str = ""
    """A loaded cross-encoder; empty: the default one."""
    query: _Query
    """What the shopper typed."""
    documents: Documents
    """Best first, as the first stage has them."""
    top_n: _TopN = None
    """How many to return; all if not given."""
    return_documents: bool = False
    """Sends the texts back."""

    @property
    def texts(self) -> list[str]:
        """What is ranked."""
        return _texts(self.documents)


class JinaRequest(BaseModel):
    """Jina's POST /v1/rerank."""

    model_config = _OPEN

    model: str = ""
    """A loaded cross-encoder; empty: the default one."""
    query: _Query
    """What the shopper typed."""
    documents: Documents
    """Best first, as the first stage has them."""
    top_n: _TopN = None
    """How many to return; all if not given."""
    return_documents: bool = True
    """Sends the texts back."""

    @property
    def texts(self) -> list[str]:
        """What is ranked."""
        return _texts(self.documents)


class TeiRequest(BaseModel):
    """Text Embeddings Inference's POST /rerank."""

    model_config = _OPEN

    query: _Query
    """What the shopper typed."""
    texts: Annotated[list[str], Field(min_length=1, max_length=_MOST_ITEMS), FailFast()]
    """Best first, as the first stage has them."""
    raw_scores: bool = False
    """Logits in place of scores between 0 and 1."""
    return_text: bool = False
    """Sends the texts back."""

    @property
    def model(self) -> str:
        """TEI knows one."""
        return ""

    @property
    def top_n(self) -> None:
        """TEI returns all."""
        return


Request: TypeAlias = CohereRequest | JinaRequest | TeiRequest


def _texts(documents: list[str | TextDocument]) -> list[str]:
    return [item if isinstance(item, str) else item.text for item in documents]
