"""A row as the product that is indexed."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from contextlib import closing
from dataclasses import dataclass
from typing import TypeAlias

from index_builder.ids import SeenIds
from index_builder.rejects import Rejects
from index_builder.rows import Reject, Row, Rows
from index_builder.schema import Schema
from index_builder.values import FieldValue, read_id, read_value
from rerank_core.errors import InputError
from rerank_core.text import ProductTextRecipe


@dataclass(frozen=True, slots=True)
class Document:
    """One product, ready to be encoded and written."""

    id: str
    fields: Mapping[str, FieldValue]
    """Without those that are blank."""
    encoder_text: str
    """What its vector stands for."""
    rerank_text: str
    """What the cross-encoder reads."""
    row: Row
    """Where it comes from, in case the cluster refuses it."""


Documents: TypeAlias = Generator[Document, None, None]


class Composer:
    """Makes documents of rows, and remembers which columns it had no use for."""

    _MOST_UNKNOWN = 100
    """Enough to name; a hostile catalogue has as many column names as it likes."""

    def __init__(
        self, schema: Schema, encoder_recipe: ProductTextRecipe, rerank_recipe: ProductTextRecipe
    ) -> None:
        self._schema = schema
        self._encoder_recipe = encoder_recipe
        self._rerank_recipe = rerank_recipe
        self._columns = {name: schema.column(name) for name in schema.fields}
        self._known = schema.columns
        self.unknown_columns: dict[str, None] = {}
        """Columns that are not indexed, in the order they were met; the first hundred."""
        read = dict.fromkeys(encoder_recipe.fields + rerank_recipe.fields)
        self.missing_fields = tuple(name for name in read if name not in schema.fields)
        """Fields that a recipe reads and the schema does not have."""

    def document(self, row: Row) -> Document:
        """The row's product. Raises `InputError` naming the column."""
        for column in (*row.values, *row.unread):
            if column not in self._known and len(self.unknown_columns) < self._MOST_UNKNOWN:
                self.unknown_columns[column] = None
        key = read_id(self._schema.id, row.values.get(self._schema.id))
        fields = {}
        for name, column in self._columns.items():
            value = read_value(column, self._schema.fields[name], row.values.get(column))
            if value is not None:
                fields[name] = value
        return Document(
            id=key,
            fields=fields,
            encoder_text=self._compose(self._encoder_recipe, fields),
            rerank_text=self._compose(self._rerank_recipe, fields),
            row=row,
        )

    @property
    def columns(self) -> frozenset[str]:
        """Those that are read."""
        return self._known

    @property
    def id_column(self) -> str:
        """The column with the product's key."""
        return self._schema.id

    def id_of(self, row: Row) -> str | None:
        """What stands in that column, whatever it is."""
        key = row.values.get(self.id_column)
        return None if key is None else str(key)

    def _compose(self, recipe: ProductTextRecipe, fields: Mapping[str, FieldValue]) -> str:
        text = recipe.compose(fields)
        if not text:
            raise InputError(", ".join(recipe.fields), "all blank; there is nothing to search by")
        return text


def read_documents(rows: Rows, composer: Composer, rejects: Rejects) -> Documents:
    """A document a good row. What is malformed, and a key's second row, goes to `rejects`."""
    with closing(rows), SeenIds() as seen:
        for row in rows:
            if isinstance(row, Reject):
                rejects.add(row)
                continue
            try:
                document = composer.document(row)
                seen.claim(composer.id_column, document.id, row.line)
            except InputError as error:
                rejects.add(Reject(row.line, composer.id_of(row), str(error), row.values))
            else:
                yield document
