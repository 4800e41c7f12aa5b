"""A row as the product that is indexed."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Mapping
from contextlib import closing, nullcontext
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

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
    number: int = 0
    """Of its row in the whole input, from 1."""


Documents: TypeAlias = Generator[Document, None, None]
Duplicates = Literal["refuse", "last"]
"""What becomes of a key's further rows: rejected, or the last good one stands for the product."""


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

    def change(self, key: str, fields: Mapping[str, FieldValue], rows: Iterable[Row]) -> Document:
        """The product `key` after `rows`, which give some of its columns each; null takes away.

        `fields` are those it has. Raises `InputError` naming the column.
        """
        changed = dict(fields)
        last: Row | None = None
        for last in rows:
            for name, column in self._columns.items():
                if column in last.values:
                    value = read_value(column, self._schema.fields[name], last.values[column])
                    changed.pop(name, None)
                    if value is not None:
                        changed[name] = value
        return Document(
            id=key,
            fields=changed,
            encoder_text=self._compose(self._encoder_recipe, changed),
            rerank_text=self._compose(self._rerank_recipe, changed),
            row=last or Row(0, {}),
        )

    def key_of(self, row: Row) -> str:
        """The row's key. Raises `InputError`."""
        return read_id(self._schema.id, row.values.get(self._schema.id))

    @property
    def fields(self) -> tuple[str, ...]:
        """Of the index, as the schema names them."""
        return tuple(self._columns)

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


def read_documents(
    rows: Rows,
    composer: Composer,
    rejects: Rejects,
    *,
    skip: int = 0,
    last: SeenIds | None = None,
    seen: SeenIds | None = None,
    on_row: Callable[[int], None] = lambda _: None,
) -> Documents:
    """A document a good row. What is malformed, and a key's second row, goes to `rejects`.

    The first `skip` rows are settled already: read for their keys alone. `last` is what
    `last_rows` found: rows that a later one of their key stands for are passed over. `seen` takes
    the keys of all documents. `on_row` hears the number of each row once it is dealt with.
    """
    with closing(rows), SeenIds() if seen is None else nullcontext(seen) as keys:
        for number, row in enumerate(rows, start=1):
            if isinstance(row, Reject):
                if number > skip:
                    rejects.add(replace(row, number=number))
                on_row(number)
                continue
            document: Document | None = None
            try:
                document = composer.document(row)
                if last is not None and last.place(document.id) != number:
                    document = None
                else:
                    keys.claim(composer.id_column, document.id, row.line)
            except InputError as error:
                document = None
                if number > skip:
                    key = composer.id_of(row)
                    rejects.add(Reject(row.line, key, str(error), row.values, row.file, number))
            if document is not None and number > skip:
                yield replace(document, number=number)
            on_row(number)


def last_rows(rows: Rows, composer: Composer, places: SeenIds) -> int:
    """Notes the number of each key's last good row in `places`; how many rows there are."""
    number = 0
    with closing(rows):
        for number, row in enumerate(rows, start=1):
            if isinstance(row, Reject):
                continue
            try:
                places.replace(composer.document(row).id, number)
            except InputError:
                continue  # the second reading rejects it
    return number
