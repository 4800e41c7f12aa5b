"""Which columns of a catalogue become which fields of the index."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import ClassVar, Literal

from pydantic import ConfigDict

from index_builder.synonyms import check_rules, read_synonyms
from rerank_core import records
from rerank_core.cluster.vectors import VectorField
from rerank_core.errors import ConfigError

FieldType = Literal["text", "keyword", "number", "boolean"]
RESERVED = ("vector", "rerank_text", "content_hash")
"""Fields that the builder writes itself."""

_STRICT = ConfigDict(extra="forbid", strict=True)
# Dots would make objects, and a leading underscore is the cluster's own.
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*")


@dataclass(frozen=True)
class Field:
    """One field of the index."""

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT

    type: FieldType
    """``text`` is searched by words; ``keyword`` is too, and ``NAME.keyword`` holds whole values
    to filter by and to count. The text of the greatest boost also has ``NAME.unstemmed``."""
    column: str | None = None
    """Where the catalogue has it; the field's own name where not given."""
    list_separator: str | None = None
    """Cuts one string into several values, for formats without lists such as CSV."""
    boost: float = 1.0
    """How much a match in it counts; for text and keyword."""

    def __post_init__(self) -> None:
        # ValueError, which reading a file turns into a `ConfigError` with the path to the fault.
        if self.list_separator == "":
            raise ValueError("list_separator must not be empty; leave it out for single values")
        if not 0 < self.boost < float("inf"):
            raise ValueError(f"boost {self.boost} must be above 0 and finite")


@dataclass(frozen=True)
class Schema:
    """The fields of an index and where each comes from.

    Read from TOML, for example::

        id = "sku"
        synonyms = ["sofa, couch"]
        [fields.title]
        type = "text"
        column = "product_name"
        boost = 3.0
        [fields.category]
        type = "keyword"
        list_separator = "|"
    """

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT

    fields: Mapping[str, Field]
    id: str = "_id"
    """The column with the product's key."""
    language: str = "english"
    """Of the texts; any that the cluster's ``stemmer`` token filter knows."""
    synonyms: tuple[str, ...] = ()
    """Rules for queries, such as ``sofa, couch`` and ``tele => television``; in TOML a list of them
    or the path of a file beside the schema's."""
    vector: VectorField = field(default_factory=VectorField)
    """How the vectors are held: ``[vector]`` with engine, type, space, m, ef_construction."""

    def __post_init__(self) -> None:
        for name in self.fields:
            if not _NAME.fullmatch(name):
                raise ValueError(
                    f"fields.{name}: a name is letters, digits and '_', and begins with a letter"
                )
            if name in RESERVED:
                raise ValueError(f"fields.{name}: the builder writes this field itself")
        if not any(field.type in ("text", "keyword") for field in self.fields.values()):
            raise ValueError("fields: at least one must be of type text or keyword")
        check_rules(self.synonyms)

    def as_indexed(self) -> Schema:
        """The same for rows that are read from an index: its fields are the columns."""
        plain = {
            name: replace(kind, column=None, list_separator=None)
            for name, kind in self.fields.items()
        }
        return replace(self, fields=plain, id="_id")

    def column(self, name: str) -> str:
        """The column that field `name` is read from."""
        return self.fields[name].column or name

    @property
    def columns(self) -> frozenset[str]:
        """Every column that is read."""
        return frozenset({self.id, *map(self.column, self.fields)})


def read_schema(path: Path) -> Schema:
    """The schema in a TOML file, and the synonyms of a file that it names.

    Raises `ConfigError` naming the file and each fault's path, or line.
    """
    try:
        value = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror or error}") from error
    except ValueError as error:  # broken UTF-8 too
        raise ConfigError(f"{path}: not TOML: {error}") from error
    if isinstance(file := value.get("synonyms"), str):
        value["synonyms"] = list(read_synonyms(path.parent / file))
    return records.read_value(Schema, value, str(path), ConfigError)


BEIR = Schema(
    fields={
        "title": Field("text", boost=3.0),
        "text": Field("text"),
        "brand": Field("keyword", boost=2.0),
        "color": Field("keyword"),
        "category": Field("keyword"),
        "price_cents": Field("number"),
        "in_stock": Field("boolean"),
    }
)
"""The names of a BEIR folder, and those that shops add to it."""
